"""Turn a crop about its centre, with what lies around it in the frame: a turned crop has no empty corners inside.

For this the crop is first cut with a margin, which the turned crop needs, and the margin is cut off afterwards.
"""

import math
from collections.abc import Sequence

from torch import Tensor


def margins(size: tuple[int, int], angle: float) -> tuple[int, int]:
    """Rows and columns on each side of a crop (H, W) that it needs if it is turned by `angle` degrees."""
    cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    height, width = size
    needed = (height * cos + width * sin, height * sin + width * cos)
    rows, columns = (max(0, math.ceil((wide - side) / 2 - 1e-6)) for wide, side in zip(needed, size, strict=True))
    return rows, columns


def widened(stored: int, start: int, length: int, to: int, filled: int, margin: int) -> tuple[int, int, int, int]:
    """One axis of a crop with a margin on both sides, as far as the frame has something there.

    stored: length of the frame. start, length: of the part of the frame that goes to `to`, `filled` of the crop.
    Returns the same four of the wider crop, which begins a margin earlier.
    """
    ratio = length / filled  # pixels of the frame per pixel of the crop
    before, after = (min(room, round(margin * ratio)) for room in (start, stored - start - length))
    to_before, to_after = (min(margin, round(more / ratio)) for more in (before, after))
    return start - before, length + before + after, to + margin - to_before, filled + to_before + to_after


def turned(crop: Tensor, size: tuple[int, int], angle: float, fill: Sequence[int], smooth: bool) -> Tensor:
    """A crop with its margins, uint8 (C, H + 2 rows, W + 2 columns), turned -> (C, H, W).

    angle: in degrees, anticlockwise. fill: C values for what lies outside the frame. smooth: bilinear, else nearest.
    """
    from torchvision.transforms.v2 import InterpolationMode, functional  # lazy: it doubles the start

    how = InterpolationMode.BILINEAR if smooth else InterpolationMode.NEAREST
    turned = functional.rotate(crop, angle, how, fill=list(map(float, fill)))
    rows, columns = margins(size, angle)
    return turned[:, rows : rows + size[0], columns : columns + size[1]]  # (C, H, W)
