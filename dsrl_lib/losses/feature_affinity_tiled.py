"""Feature affinity, q = 1, by row tiles of matrix products: many channels on the CPU, and any device without Triton."""

import torch
from torch import Tensor

TILE_BYTES = 1 << 20  # a tile of D stays in the cache of one core


def absolute(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of |A^T A - B^T B| over the batch, and its gradients.

    a, b: float32 tokens (B, Ca, N), (B, Cb, N). Returns a scalar and gradients of the shapes of a and b.
    """
    left = torch.cat((a, b), 1).mT.contiguous()  # (B, N, Ca + Cb)
    right = torch.cat((a, -b), 1)  # (B, Ca + Cb, N); D = left @ right
    batch, count, channels = left.shape
    rows = max(16, TILE_BYTES // (4 * count))
    totals = []
    gradient = torch.empty_like(left)  # (B, N, Ca + Cb)
    for x, y, out in zip(left, right, gradient, strict=True):
        y_rows = y.mT.contiguous()  # (N, Ca + Cb)
        for start in range(0, count, rows):
            difference = x[start : start + rows] @ y  # (rows, N)
            totals.append(torch.linalg.vector_norm(difference, 1))
            torch.mm(difference.sign_(), y_rows, out=out[start : start + rows])
    gradient_a, gradient_b = (2 * gradient).mT.split((a.shape[1], b.shape[1]), 1)  # D is symmetric: each pair counts twice
    return torch.stack(totals).sum(), gradient_a.contiguous(), gradient_b.contiguous()
