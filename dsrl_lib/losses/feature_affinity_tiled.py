"""The feature-affinity pass by square tiles of matrix products: any number of channels, any device."""

import torch
from torch import Tensor

CPU_TILE = 512  # 1 MiB of float32: stays in the cache of one core
GPU_TILE = 4096  # 64 MiB: enough work for a whole device


def signed_sums(x: Tensor, y: Tensor) -> Tensor:
    """g_i = sum_j sign(x_i . y_j) y_j. x, y: float32 (B, C, N) with x^T y symmetric; returns (B, C, N).

    By symmetry the tiles on and above the diagonal are enough: each serves its rows and its columns.
    """
    tile = CPU_TILE if x.device.type == "cpu" else GPU_TILE
    result = torch.zeros_like(y)
    for left, right, out in zip(x, y, result, strict=True):
        blocks = list(zip(*(part.split(tile, 1) for part in (left, right, out)), strict=True))
        for i, (left_i, right_i, out_i) in enumerate(blocks):
            for k, (_, right_k, out_k) in enumerate(blocks[i:]):
                signs = (left_i.mT @ right_k).sign_()  # (tile, tile)
                out_k.addmm_(right_i, signs)
                if k > 0:
                    out_i.addmm_(right_k, signs.mT)
    return result
