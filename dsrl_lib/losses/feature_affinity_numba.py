"""The feature-affinity pass for a few channels on the CPU: one fused loop over the pairs, compiled at first use.

Matrix products of so few channels spend their time storing and reloading D; here D never leaves a register.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dsrl_lib.compiled import SUMS, compiled

CHANNELS = 6  # of the two maps together; fewer are filled up with zeros, which change nothing
ROWS = 256  # in one piece of work


def signed_sums(x: Tensor, y: Tensor) -> Tensor:
    """g_i = sum_j sign(x_i . y_j) y_j. x, y: float32 (B, C <= 6, N) on the CPU; returns (B, C, N).

    Each row is summed by one thread in one order: the result is the same for any number of threads, which is
    PyTorch's. They live as long as the call, so a fork or a second caller finds nothing half done.
    """
    batch, channels, count = x.shape
    fill = (0, 0, 0, CHANNELS - channels)
    left, right = (F.pad(tokens, fill).contiguous().numpy() for tokens in (x, y))
    result = torch.empty(left.shape)
    out = result.numpy()

    def piece(task: tuple[int, int]) -> None:
        b, start = task
        _rows(left[b], right[b], start, min(start + ROWS, count), out[b])

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(piece, [(b, start) for b in range(batch) for start in range(0, count, ROWS)]))
    return result[:, :channels]


@compiled(fastmath=SUMS)
def _rows(x: Any, y: Any, start: int, stop: int, out: Any) -> None:
    x0, x1, x2, x3, x4, x5 = x[0], x[1], x[2], x[3], x[4], x[5]
    y0, y1, y2, y3, y4, y5 = y[0], y[1], y[2], y[3], y[4], y[5]
    zero, one = np.float32(0), np.float32(1)
    for i in range(start, stop):
        a0, a1, a2, a3, a4, a5 = x0[i], x1[i], x2[i], x3[i], x4[i], x5[i]
        g0 = g1 = g2 = g3 = g4 = g5 = zero
        for j in range(y.shape[1]):
            d = a0 * y0[j] + a1 * y1[j] + a2 * y2[j] + a3 * y3[j] + a4 * y4[j] + a5 * y5[j]
            sign = np.copysign(one, d) if d != zero else zero
            g0 += sign * y0[j]
            g1 += sign * y1[j]
            g2 += sign * y2[j]
            g3 += sign * y3[j]
            g4 += sign * y4[j]
            g5 += sign * y5[j]
        out[0, i], out[1, i], out[2, i], out[3, i], out[4, i], out[5, i] = g0, g1, g2, g3, g4, g5
