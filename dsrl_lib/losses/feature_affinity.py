"""The feature-affinity loss of DSRL (paper, Sec. 3.2, Eq. 2 and Eq. 3), exact and with memory linear in the tokens.

For tokens a_i, b_i let x_i = [a_i; b_i] and y_i = [a_i; -b_i]: then D_ij = (S_a - S_b)_ij = x_i . y_j. With
g_i = sum_j sign(D_ij) y_j, one pass over the pairs that never stores an N x N matrix, everything is known:
sum_ij |D_ij| = sum_i x_i . g_i is the value, and its gradient in [a; b] is 2 g, since D is symmetric.
"""

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from textwrap import shorten
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dsrl_lib.allowed import above, check
from dsrl_lib.losses.pooling import average_pool


def feature_affinity(
    a: Tensor,
    b: Tensor,
    *,
    normalise: bool = True,
    q: int = 1,
    tokens: tuple[int, int] | None = None,
    eps: float = 1e-8,
) -> Tensor:
    """Mean distance between the pixel-affinity matrices of two feature maps, a float32 scalar.

    S = F^T F (Eq. 2), where the columns of F are the N = h*w tokens of a map; L is the mean over the batch and all
    N^2 pairs of |S_a - S_b|^q (Eq. 3). Everything is computed in float32, under autocast too; the result can be
    differentiated once in both maps.

    a, b: (B, Ca, h, w) and (B, Cb, h, w), any float type; the channel counts may differ.
    normalise: divide each token by sqrt(|F_i|^2 + eps), the paper's p = 2, so that S holds cosines.
    q: 1 or 2, the power of the difference.
    tokens: (th, tw), average both maps to this grid first; without it both maps must have the same h and w.
    eps: keeps a zero token zero and its gradient finite.

    Raises ValueError for other shapes or settings, and for normalised maps of one channel: their tokens are
    only signs, so the loss has no gradient.
    """
    _check(a, b, normalise, q, tokens, eps)
    # DEVIATION: the paper reduces the maps of FA to 1/8, by its readers' notes, and does not say how. Here both are
    # averaged to that grid.
    with torch.autocast(a.device.type, enabled=False):
        pair = [x.float() if tokens is None else average_pool(x, tokens) for x in (a, b)]
        pair = [x.flatten(2) for x in pair]  # (B, C, N)
        if normalise:
            pair = [x * torch.rsqrt(x.square().sum(1, keepdim=True) + eps) for x in pair]
        return _squared(*pair) if q == 2 else _Absolute.apply(*pair)


def _check(a: Tensor, b: Tensor, normalise: bool, q: int, tokens: tuple[int, int] | None, eps: float) -> None:
    shapes = f"a {tuple(a.shape)} and b {tuple(b.shape)}"
    if a.dim() != 4 or b.dim() != 4 or a.shape[0] != b.shape[0] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"feature_affinity: maps must be (B, C, h, w), the same B, nothing empty; got {shapes}")
    if not (a.is_floating_point() and b.is_floating_point()) or a.device != b.device:
        raise ValueError(
            f"feature_affinity: maps must be of float types on one device; got a {a.dtype} on {a.device} and "
            f"b {b.dtype} on {b.device}"
        )
    if tokens is None and a.shape[2:] != b.shape[2:]:
        raise ValueError(f"feature_affinity: maps of different size need tokens=(th, tw); got {shapes}")
    if tokens is not None and not (isinstance(tokens, (tuple, list)) and len(tokens) == 2 and all(map(_whole, tokens))):
        raise ValueError(f"feature_affinity: tokens={tokens!r}; allowed: None or positive integers (th, tw)")
    if q not in (1, 2):
        raise ValueError(f"feature_affinity: q={q!r}; allowed: 1, 2")
    check("feature_affinity: normalise", normalise, bool)
    check("feature_affinity: eps", eps, Annotated[float, above(0)])
    if normalise and min(a.shape[1], b.shape[1]) < 2:
        raise ValueError(
            f"feature_affinity: normalise=True needs 2 channels or more; got {shapes}. A normalised token of one "
            "channel is only a sign, so the loss has no gradient; use normalise=False"
        )


def _whole(side: Any) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and side >= 1


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """q = 2 in closed form, C x C matrices alone: |A^T A - B^T B|^2 = |A A^T|^2 - 2 |A B^T|^2 + |B B^T|^2.

    The three terms nearly cancel where the affinities agree, hence float64 (MPS has none).
    """
    precise = torch.float32 if a.device.type == "mps" else torch.float64
    u, v = a.to(precise), b.to(precise)  # (B, C, N)
    total = sum(sign * (s @ t.mT).square().sum() for sign, s, t in ((1, u, u), (-2, u, v), (1, v, v)))
    return (total / (a.shape[0] * a.shape[2] ** 2)).float()


class _Absolute(torch.autograd.Function):
    """q = 1 on float32 tokens (B, Ca, N), (B, Cb, N): the forward pass keeps both gradients for the backward."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        x, y = torch.cat((a, b), 1), torch.cat((a, -b), 1)
        sums = _implementation(x)(x, y)  # (B, Ca + Cb, N)
        scale = 1 / (x.shape[0] * x.shape[2] ** 2)
        ctx.save_for_backward(*(2 * scale * sums).split((a.shape[1], b.shape[1]), 1))
        value = (x * sums).sum(1).sum() * scale
        return value.clamp_min(0)  # rounding may leave -1e-10 where the maps are equal

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gradient_a, gradient_b = ctx.saved_tensors
        return gradient * gradient_a, gradient * gradient_b


def _implementation(x: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Who computes g of the stacked tokens x (B, C, N).

    CUDA: the Triton kernel up to 128 channels, since more do not fit in registers, where Triton works. CPU: the
    fused loop up to 6 channels, where it scales better with the threads. All else: tiles of matrix products.
    """
    channels = x.shape[1]
    if x.device.type == "cuda" and channels <= 128 and _triton_works(x.device, channels):
        from dsrl_lib.losses.feature_affinity_triton import signed_sums
    elif x.device.type == "cpu" and channels <= 6:
        from dsrl_lib.losses.feature_affinity_numba import signed_sums
    else:
        from dsrl_lib.losses.feature_affinity_tiled import signed_sums
    return signed_sums


@cache
def _triton_works(device: torch.device, channels: int) -> bool:
    """Whether the kernel for so many channels can be compiled and launched on this device: tried once, on few tokens.

    It needs more than Triton itself: a C compiler, and a driver and a GPU that this Triton supports.
    """
    if not find_spec("triton"):
        return False
    tokens = torch.ones(1, channels, 16, device=device)
    try:
        from dsrl_lib.losses.feature_affinity_triton import signed_sums

        signed_sums(tokens, tokens).sum().item()  # reading a number waits for the kernel, and for its errors
    except Exception as error:  # of many kinds, by the step that fails
        reason = shorten(f"{type(error).__name__}: {error}", 300)
        warnings.warn(
            f"feature_affinity: the Triton kernel does not work on {device}, so slower matrix products take its "
            f"place: {reason}",
            stacklevel=1,
        )
        return False
    return True
