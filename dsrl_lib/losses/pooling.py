"""Average pooling of a feature map to a token grid, in float32 without a float32 copy of the whole map."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def average_pool(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """Adaptive average pooling of x (B, C, h, w), of any float type, to float32 (B, C, th, tw)."""
    if x.shape[2] % grid[0] or x.shape[3] % grid[1]:
        return F.adaptive_avg_pool2d(x.float(), grid)  # the cells overlap
    return _EvenPool.apply(x, grid)


class _EvenPool(torch.autograd.Function):
    """Equal cells: the gradient only repeats. PyTorch's own backward takes up to ten times as long on the CPU in
    channels_last, where this saves more time than the affinity itself takes, and is not deterministic on CUDA."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: tuple[int, int]) -> Tensor:
        ctx.size, ctx.dtype = x.shape[2:], x.dtype
        ctx.channels_last = x.is_contiguous(memory_format=torch.channels_last)
        return torch.cat([F.adaptive_avg_pool2d(sample.float(), grid) for sample in x.split(1)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        cell = (ctx.size[0] // gradient.shape[2]) * (ctx.size[1] // gradient.shape[3])
        spread = (gradient / cell).to(ctx.dtype)  # (B, C, th, tw)
        if ctx.channels_last:
            spread = spread.contiguous(memory_format=torch.channels_last)
        return F.interpolate(spread, ctx.size, mode="nearest-exact"), None
