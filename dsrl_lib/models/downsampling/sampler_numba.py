"""Sums over footprints on the CPU: one loop over the pixels of a frame for each corner of their cells.

The same sums in the same order as `sampler._corner_by_corner`, so the same bits, without its maps of weights and
places. The loop is compiled at first use.
"""

import math

import numpy as np
from torch import Tensor

from dsrl_lib.compiled import compiled


def loop_over_pixels(image: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C + 1, h, w), as `sampler._corner_by_corner`, of tensors on the CPU."""
    sums = image.new_zeros(len(image), image.shape[1] + 1, *size)
    for frame, place, found in zip(image.numpy(), places.numpy(), sums.numpy(), strict=True):
        _add(frame, place, found)
    return sums


@compiled()
def _add(image: np.ndarray, place: np.ndarray, sums: np.ndarray) -> None:
    channels, height, width = image.shape
    number = sums.dtype.type  # products and sums are rounded to the type of the image
    one = number(1)
    for down in range(2):
        for right in range(2):
            for row in range(height):
                for column in range(width):
                    i = min(math.floor(place[row, column, 0]), sums.shape[1] - 2)
                    j = min(math.floor(place[row, column, 1]), sums.shape[2] - 2)
                    s, t = number(place[row, column, 0] - i), number(place[row, column, 1] - j)
                    weight = (s if down else one - s) * (t if right else one - t)
                    for channel in range(channels):
                        sums[channel, i + down, j + right] += image[channel, row, column] * weight
                    sums[channels, i + down, j + right] += weight
