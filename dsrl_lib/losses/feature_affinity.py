"""The feature-affinity loss of DSRL (CVPR 2020, section 3.4), exact and with memory linear in the tokens.

One pass over the rows of D = S_a - S_b gives the value and both gradients, so nothing N x N is ever stored:
with tokens A_i, B_i and L = mean |D|, dL/dA_i = 2/N^2 sum_j sign(D_ij) A_j and dL/dB_i = -2/N^2 sum_j sign(D_ij) B_j.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Pass = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def feature_affinity(
    a: Tensor, b: Tensor, *, normalise: bool = True, q: int = 1, tokens: tuple[int, int] | None = None, eps: float = 1e-8
) -> Tensor:
    """Mean distance between the pixel-affinity matrices of two feature maps, a float32 scalar.

    L = mean over the batch and all N^2 pairs of |S_a - S_b|^q with S = F^T F, where F holds the N = h*w tokens of a
    map as columns (DSRL, the equations of S_ij and L_fa). Everything is computed in float32, under autocast too, and
    the result can be differentiated once in both maps.

    a, b: (B, Ca, h, w) and (B, Cb, h, w), any float type; the channel counts may differ.
    normalise: divide each token by sqrt(|F_i|^2 + eps), the paper's p = 2, so that S holds cosines.
    q: 1 or 2, the power of the difference.
    tokens: (th, tw), average both maps to this grid first; without it both maps must have the same h and w.
    eps: inside the root, so that the gradient at a zero token is at most 1/sqrt(eps) times that of its unit vector.

    Raises ValueError for other shapes or settings, and for normalised maps of one channel: their tokens are only
    signs, so the loss says nothing and has no gradient.
    """
    _check(a, b, normalise, q, tokens, eps)
    with torch.autocast(a.device.type, enabled=False):
        first, second = (_tokens(x, tokens) for x in (a, b))
        if normalise:
            first, second = (x * torch.rsqrt(x.square().sum(1, keepdim=True) + eps) for x in (first, second))
        return _squared(first, second) if q == 2 else _Absolute.apply(first, second)


def _check(a: Tensor, b: Tensor, normalise: bool, q: int, tokens: tuple[int, int] | None, eps: float) -> None:
    shapes = f"a {tuple(a.shape)} and b {tuple(b.shape)}"
    if a.dim() != 4 or b.dim() != 4 or a.shape[0] != b.shape[0] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"feature_affinity: the maps must be (B, C, h, w) with one B and no empty side, got {shapes}")
    if a.device != b.device:
        raise ValueError(f"feature_affinity: the maps must be on one device, got {a.device} and {b.device}")
    if not (a.is_floating_point() and b.is_floating_point()):
        raise ValueError(f"feature_affinity: the maps must be of a float type, got {a.dtype} and {b.dtype}")
    if tokens is None and a.shape[2:] != b.shape[2:]:
        raise ValueError(f"feature_affinity: maps of different size need tokens=(th, tw), got {shapes}")
    if tokens is not None and (len(tokens) != 2 or min(tokens) < 1):
        raise ValueError(f"feature_affinity: tokens={tokens!r}; allowed: None or two positive integers (th, tw)")
    if q not in (1, 2):
        raise ValueError(f"feature_affinity: q={q!r}; allowed: 1, 2")
    if normalise and min(a.shape[1], b.shape[1]) < 2:
        raise ValueError(
            f"feature_affinity: normalised tokens need 2 channels or more, got {shapes}: a token of one channel is "
            "only a sign, so the loss would carry no gradient; use normalise=False"
        )
    if eps <= 0:
        raise ValueError(f"feature_affinity: eps={eps!r}; allowed: a positive number")


def _tokens(x: Tensor, grid: tuple[int, int] | None) -> Tensor:
    """(B, C, h, w) -> float32 tokens (B, C, N), pooled to `grid`."""
    if grid is not None and tuple(x.shape[2:]) != tuple(grid):
        x = F.adaptive_avg_pool2d(x.float(), grid)
    return x.float().flatten(2)  # (B, C, N)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """q = 2 in closed form: |A^T A - B^T B|^2 = |A A^T|^2 - 2 |A B^T|^2 + |B B^T|^2, C x C matrices alone.

    The three terms nearly cancel where the affinities agree, hence float64 (MPS has none).
    """
    precise = torch.float32 if a.device.type == "mps" else torch.float64
    x, y = a.to(precise), b.to(precise)  # (B, C, N)
    total = sum(
        sign * (u @ v.mT).square().sum() for sign, u, v in ((1, x, x), (-2, x, y), (1, y, y))
    )
    return (total / (a.shape[0] * a.shape[2] ** 2)).float()


class _Absolute(torch.autograd.Function):
    """q = 1 on float32 tokens (B, Ca, N), (B, Cb, N): the forward pass keeps both gradients for the backward."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        total, gradient_a, gradient_b = _implementation(a, b)(a, b)
        scale = 1 / (a.shape[0] * a.shape[2] ** 2)
        ctx.save_for_backward(gradient_a.mul_(scale), gradient_b.mul_(scale))
        return total * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gradient_a, gradient_b = ctx.saved_tensors
        return gradient * gradient_a, gradient * gradient_b


def _implementation(a: Tensor, b: Tensor) -> Pass:
    """The pass for these tokens. All take float32 (B, C, N) and return sum |D| and its gradients in a and in b."""
    from dsrl_lib.losses import feature_affinity_tiled as tiled

    return tiled.absolute
