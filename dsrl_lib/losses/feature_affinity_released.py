"""The feature-affinity losses of the two public reimplementations, as they were released, faults included.

They are here to be shown beside `feature_affinity`, and to be trained once. Use neither of them for anything else.
Both compare maps of one shape, (B, C, h, w), and pool them first by AvgPool2d(pool), which drops what does not fill a
cell. Everything is computed in float32 or better, under autocast too. ValueError for maps of two shapes, and for a side
below `pool`.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.losses.feature_affinity import feature_affinity


def affinity_of_sanje2v(a: Tensor, b: Tensor, *, pool: int = 8) -> Tensor:
    """FALoss of sanje2v/DualSuperResLearningForSemSeg (2021-03), a float32 scalar.

    Each channel map, divided by its largest singular value, gives the matrix S = M^T M of its columns, w x w. The loss
    is the mean of |S_a[i] - S_b[j]| over ALL pairs of entries i and j, and over channels and batch. Its faults:

    - It compares every entry with every other one, so it is not 0 for equal maps. It is as large for equal as for
      unrelated maps, and least where all entries of both matrices are one number: it rewards flat maps.
    - S relates the columns of the map, not its pixels, one channel at a time. Eq. 2 of the paper compares pixels over
      all channels.
    - A map of zeros, such as a dead ReLU leaves, gives NaN: nothing is added to the norm.

    Differs in no value from the released code, which needs memory for all w^4 pairs: here the entries are sorted.
    """
    _check(a, b, pool)
    with torch.autocast(a.device.type, enabled=False):
        x, y = (_columns(F.avg_pool2d(m.float(), pool)).double() for m in (a, b))  # (B, C, w^2)
        count = x.shape[-1]
        # |x - y| summed over all pairs: each value, times how many of the others are below less how many are above it.
        total = (x * _rank(x, y)).sum(-1) + (y * _rank(y, x)).sum(-1)  # (B, C)
        return (total / count**2).mean().float()


def affinity_of_dootmaan(a: Tensor, b: Tensor, *, pool: int = 16) -> Tensor:
    """FALoss of Dootmaan/DSRL (main, 2022-05), a float32 scalar.

    The affinities of the pixels, Eq. 2 of the paper, compared by their absolute differences as in Eq. 3. Its faults:

    - Tokens are not normalised, so the value grows with the square of the maps' scale, and shrinking both maps lowers
      it.
    - The sum over pairs is divided by their number, but not by the number of images: twice the batch, twice the loss.
    """
    _check(a, b, pool)
    with torch.autocast(a.device.type, enabled=False):
        x, y = (F.avg_pool2d(m.float(), pool) for m in (a, b))  # (B, C, h / pool, w / pool)
    return len(a) * feature_affinity(x, y, normalise=False)


RELEASED = {"sanje2v": affinity_of_sanje2v, "dootmaan": affinity_of_dootmaan}
"""By loss.fa_form."""


def _columns(maps: Tensor) -> Tensor:
    """Entries of M^T M of each channel map over its spectral norm: (B, C, h, w) -> (B, C, w^2)."""
    maps = maps / torch.linalg.matrix_norm(maps, 2, keepdim=True)  # torch.linalg.norm(ord=2) of two axes is that
    return (maps.mT @ maps).flatten(2)  # (B, C, w^2)


def _rank(values: Tensor, others: Tensor) -> Tensor:
    """How many of the others, (..., M), are below each value less how many are above it, (..., M); no gradient."""
    ordered, values = others.detach().sort(-1).values, values.detach().contiguous()
    below = torch.searchsorted(ordered, values)
    above = ordered.shape[-1] - torch.searchsorted(ordered, values, right=True)
    return (below - above).to(values.dtype)


def _check(a: Tensor, b: Tensor, pool: int) -> None:
    if a.dim() != 4 or a.shape != b.shape or min(a.shape[2:]) < pool:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"maps must have one shape (B, C, h, w), h and w at least pool = {pool}; got {shapes}")
