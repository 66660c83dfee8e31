"""One photograph of a procedural street with its labels."""

from dataclasses import dataclass

import numpy as np

from . import photo
from .canvas import SUPERSAMPLING, Camera, Canvas
from .dice import Dice
from .street import SPECIALS, Street
from .texture import Texture

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Shot:
    """A scene at one moment, not yet drawn: what stands where, the camera, the weather, and the dice for the rest."""

    street: Street
    camera: Camera
    sky: photo.Weather
    visibility: float
    dice: Dice

    def draw(self) -> Canvas:
        """Draw it. Only once: it takes the draws that follow."""
        canvas = Canvas(self.camera, self.street.texture, self.sky.horizon, self.visibility)
        photo.sky(canvas, self.sky)
        self.street.ground.paint(canvas, self.dice)
        canvas.draw_all(self.street.panels)
        photo.hood(canvas, self.dice)
        return canvas


def shot(seed: int, split: str, index: int, frame: int, height: int, width: int) -> Shot:
    """Scene `index` of a split at `frame`. ValueError for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    dice = Dice(seed, SPLITS.index(split), index)
    texture = Texture(dice)
    sky = photo.weather(dice)
    pace = dice.between(0.35, 0.6)
    rows, columns = height * SUPERSAMPLING, width * SUPERSAMPLING
    view = (dice.between(0.47, 0.53) * columns, dice.between(0.4, 0.5) * rows, dice.between(1.25, 1.75))
    bend = dice.between(-0.0016, 0.0016) if dice.chance(0.5) else 0.0
    haze, focal = dice.between(250.0, 900.0), dice.between(0.95, 1.15) * columns

    street = Street(dice, texture, SPECIALS[index % len(SPECIALS)], frame, sky.shadow)
    camera = Camera(rows, columns, focal, view[0], view[1], street.eye, view[2], pace * frame, bend)
    return Shot(street, camera, sky, haze, dice)


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
    taken = shot(seed, split, index, frame, height, width)
    sensor = Dice(seed, SPLITS.index(split), index, frame)
    return photo.expose(taken.draw(), taken.sky, taken.dice, sensor)
