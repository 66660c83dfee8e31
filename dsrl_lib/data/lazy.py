"""Frames decoded each time they are asked for: of data sets whose frames differ in size, or that are too large to keep.

They are indexed as the arrays of a cached split are. All files are checked once, before the first is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsrl_lib.data.frames import Arrays, DataError, Frame, read_image, read_label
from dsrl_lib.data.once import in_threads, once
from dsrl_lib.metrics import VOID
from dsrl_lib.records import read_json, write_json


@dataclass(frozen=True)
class Images(Arrays):
    """uint8 (H, W, 3) by index, RGB; H and W are those of the frame."""

    frames: Sequence[Frame]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return read_image(self.frames[index])


@dataclass(frozen=True)
class Labels(Arrays):
    """uint8 (H, W) by index, class ids or 255."""

    frames: Sequence[Frame]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return read_label(self.frames[index])


def check(frames: Sequence[Frame], record: Path) -> list[int]:
    """Read every frame once; return the class ids that the label maps hold, without void. DataError names a bad file.

    record: the file that remembers the answer. Its name has to change with the contents of the frames.
    """

    def make() -> list[int]:
        found = set[int]().union(*in_threads(lambda i: _check(frames[i]), len(frames), f"check {record.stem}"))
        return sorted(found - {VOID})

    return once(
        record,
        lambda: read_json(record, {"classes": list[int]})["classes"],
        make,
        lambda classes: write_json(record, {"classes": classes}),
    )


def _check(frame: Frame) -> set[int]:
    """The ids of a label map. DataError if it is not of the size of its image."""
    label, size = read_label(frame), read_image(frame).shape[:2]
    if label.shape != size:
        sizes = (f"{height} x {width}" for height, width in (label.shape, size))
        raise DataError(f"{frame.label} is {', not '.join(sizes)} (height x width) as {frame.image} is")
    return set(np.flatnonzero(np.bincount(label.ravel(), minlength=256)).tolist())
