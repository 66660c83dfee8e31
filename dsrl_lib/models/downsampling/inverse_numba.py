"""Where each pixel lies in the grid, on the CPU: one loop over the cells and the pixels around them.

The arithmetic of `inverse._invert`, but nothing is stored for a cell and a pixel that do not meet. The loop is
compiled at first use.
"""

import math

import numpy as np
import torch
from torch import Tensor

from dsrl_lib.compiled import compiled


def loop_over_cells(nodes: Tensor, size: tuple[int, int], tolerance: float) -> Tensor:
    """(B, H, W, 2) float64, NaN where a pixel lies in no cell. nodes: (B, n, m, 2) in pixels, float64 on the CPU."""
    index = torch.full((len(nodes), *size, 2), math.nan, dtype=torch.float64)
    for grid, image in zip(nodes.contiguous().numpy(), index.numpy(), strict=True):
        _fill(grid, image, tolerance)
    return index


@compiled(error_model="numpy")  # a division by zero gives infinity or NaN, as in PyTorch
def _fill(nodes: np.ndarray, index: np.ndarray, tolerance: float) -> None:
    for i in range(nodes.shape[0] - 1):
        for j in range(nodes.shape[1] - 1):
            (p0, p1), (q0, q1) = nodes[i, j], nodes[i + 1, j + 1]
            (down0, down1), (right0, right1) = nodes[i + 1, j], nodes[i, j + 1]
            e0, e1, f0, f1 = down0 - p0, down1 - p1, right0 - p0, right1 - p1
            g0, g1 = p0 - down0 - right0 + q0, p1 - down1 - right1 + q1
            a, area = e1 * g0 - e0 * g1, e0 * f1 - e1 * f0
            top = max(math.ceil(min(p0, q0, down0, right0) - tolerance), 0)
            bottom = min(math.floor(max(p0, q0, down0, right0) + tolerance), index.shape[0] - 1)
            left = max(math.ceil(min(p1, q1, down1, right1) - tolerance), 0)
            right = min(math.floor(max(p1, q1, down1, right1) + tolerance), index.shape[1] - 1)
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    h0, h1 = row - p0, column - p1
                    b, c = h0 * g1 - h1 * g0 - area, h0 * f1 - h1 * f0
                    root = math.sqrt(b * b - 4 * a * c) if b * b >= 4 * a * c else math.nan
                    s = 2 * c / (root - b) if b <= 0 else (b + root) / (-2 * a)
                    across0, across1 = f0 + s * g0, f1 + s * g1
                    along = (h0 - s * e0) * across0 + (h1 - s * e1) * across1
                    t = along / (across0 * across0 + across1 * across1)
                    if -tolerance <= s <= 1 + tolerance and -tolerance <= t <= 1 + tolerance:  # not if NaN
                        index[row, column, 0] = i + min(max(s, 0.0), 1.0)
                        index[row, column, 1] = j + min(max(t, 0.0), 1.0)
