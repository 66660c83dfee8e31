"""Frames decoded each time they are asked for: of data sets whose frames differ in size, or that are too large to keep.

They are indexed as the arrays of a cached split are. What is bad about a file shows when it is read, not before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsrl_lib.data.frames import DataError, Frame, image_size, read_image, read_label


@dataclass(frozen=True)
class Images(Sequence[np.ndarray]):
    """uint8 (H, W, 3) by index, RGB; H and W are those of the frame."""

    frames: Sequence[Frame]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self.frames[index])


@dataclass(frozen=True)
class Labels(Sequence[np.ndarray]):
    """uint8 (H, W) by index, class ids or 255. DataError where a label map is not of the size of its image."""

    frames: Sequence[Frame]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        frame = self.frames[index]
        label, size = read_label(frame), image_size(frame.image)
        if label.shape != size:
            sizes = (f"{height} x {width}" for height, width in (label.shape, size))
            raise DataError(f"{frame.label} is {', not '.join(sizes)} (height x width) as {frame.image} is")
        return label
