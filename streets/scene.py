"""One photograph of a procedural street with its labels."""

import numpy as np

from . import photo
from .canvas import SUPERSAMPLING, Camera, Canvas
from .dice import Dice
from .street import SPECIALS, Street
from .texture import Texture

SPLITS = ("train", "val", "test")


def scene(
    seed: int = 0,
    split: str = "train",
    index: int = 0,
    frame: int = 0,
    *,
    height: int = 128,
    width: int = 256,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw scene `index` of a split as seen at `frame`: (RGB uint8 (H, W, 3), label ids uint8 (H, W)).

    Frames of one scene show the same street from a camera that moves forward. The arrays depend on the
    arguments alone, on every platform. ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    key = (seed, SPLITS.index(split), index)
    dice = Dice(*key)
    texture = Texture(dice)
    sky = photo.weather(dice)
    pace = dice.between(0.35, 0.6)
    rows, columns = height * SUPERSAMPLING, width * SUPERSAMPLING
    view = (dice.between(0.47, 0.53) * columns, dice.between(0.4, 0.5) * rows, dice.between(1.25, 1.75))
    bend = dice.between(-0.0016, 0.0016) if dice.chance(0.5) else 0.0
    haze, focal = dice.between(250.0, 900.0), dice.between(0.95, 1.15) * columns

    street = Street(dice, texture, SPECIALS[index % len(SPECIALS)], frame, sky.shadow)
    camera = Camera(rows, columns, focal, view[0], view[1], street.eye, view[2], pace * frame, bend)
    canvas = Canvas(camera, texture, sky.horizon, haze)
    photo.sky(canvas, sky)
    street.ground.paint(canvas, dice)
    canvas.draw_all(street.panels)
    photo.hood(canvas, dice)
    return photo.expose(canvas, sky, dice, Dice(*key, frame))
