"""Coarsely labelled streets: what the coarse frames of Cityscapes are to its fine ones, for coarse boost without them.

Other scenes than those of `streets`. In their labels each class ends a few pixels before its edge; the rest is void.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from dsrl_lib.data.frames import Frame, read_label
from dsrl_lib.data.made import made
from dsrl_lib.data.readers import cityscapes
from dsrl_lib.data.readers.streets import frames as fine_frames
from dsrl_lib.data.readers.streets import refuse_own, streets
from dsrl_lib.metrics import VOID
from dsrl_lib.paths import cache_dir

SEED = 1  # `streets` has 0
SCENES = 64
BORDER = 2
"""Pixels at the edge of each class that are void."""


def frames(root: Path, split: str) -> list[Frame]:
    """`train` is other scenes with coarse labels; `val` and `test` are those of `streets`, with their fine labels.

    root: not read, the scenes are drawn into the cache; DataError for your own data set there.
    """
    if split != "train":
        return fine_frames(root, split)
    refuse_own(root)
    folder = _written()
    drawn = cityscapes.frames(folder / "scenes", split)
    return [_coarse(frame, folder / "labels" / f"{frame.name}.png") for frame in drawn]


def coarsened(label: np.ndarray, border: int) -> np.ndarray:
    """The label map (H, W) with void where another class, or void, is at most `border` rows and columns away."""
    side = 2 * border + 1
    least, greatest = (
        extreme(label, side, mode="nearest") for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    return np.where(least == greatest, label, VOID).astype(np.uint8)  # (H, W)


def _coarse(frame: Frame, label: Path) -> Frame:
    return replace(frame, label=label, table=cityscapes.TABLES["labelTrainIds.png"], drawn=("image", "label"))


def _written() -> Path:
    """The folder of scenes and labels, drawn if it is missing."""
    return made(cache_dir() / f"streets_coarse-v{streets.VERSION}-{SEED}-{SCENES}-{BORDER}", _write)


def _write(folder: Path) -> None:
    streets.write(folder / "scenes", seed=SEED, images={"train": SCENES})
    (folder / "labels").mkdir()
    for frame in cityscapes.frames(folder / "scenes", "train"):
        coarse = coarsened(read_label(frame), BORDER)
        Image.fromarray(coarse).save(folder / "labels" / f"{frame.name}.png")
