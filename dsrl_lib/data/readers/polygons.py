"""Regions as COCO stores them, polygons and run lengths, as masks."""

from collections.abc import Sequence

import numpy as np


def polygon_mask(polygon: Sequence[float], height: int, width: int) -> np.ndarray:
    """Pixels whose centre lies inside a polygon by the even-odd rule, bool (H, W).

    polygon: x0, y0, x1, y1, ... in pixels; pixel (row, column) covers [column, column + 1] x [row, row + 1].
    ValueError for coordinates that are no pairs of finite numbers.
    """
    # DEVIATION: polygons of COCO cover the pixels whose centre they hold; pycocotools rounds corners to a fifth
    # of a pixel and follows the outline, so that pixels on it may differ.
    x, y = corners = np.asarray(polygon, float).reshape(-1, 2).T  # (n,) each
    if not np.isfinite(corners).all():
        raise ValueError(f"the polygon {polygon} has corners that are no finite numbers")
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    rows = np.arange(height) + 0.5  # (H,)
    edge, row = np.nonzero((y[:, None] <= rows) != (y_next[:, None] <= rows))  # which edge crosses which row
    along = (rows[row] - y[edge]) / (y_next - y)[edge]
    crossing = x[edge] + along * (x_next - x)[edge]
    first = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)  # the first pixel centre right of it
    changes = np.zeros((height, width + 1), bool)
    np.logical_xor.at(changes, (row, first), True)
    return np.logical_xor.accumulate(changes, axis=1)[:, :width]  # (H, W)


def run_length_mask(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """bool (H, W) from the lengths of runs outside, inside, outside, ..., column by column.

    ValueError where they do not add up to the image.
    """
    if sum(counts) != height * width:
        raise ValueError(f"the run lengths add up to {sum(counts)}, not to {height} x {width} pixels")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T  # (H, W)
