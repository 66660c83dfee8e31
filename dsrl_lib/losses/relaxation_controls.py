"""Controls of label relaxation: is it the borders that help, and is relaxing them better than leaving them out?

Both give the sets N_i of `cross_entropy_over_sets` instead of those of the borders.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsrl_lib.losses.allowed_sets import allowed_sets, several
from dsrl_lib.metrics import VOID


def void_borders(labels: Tensor, classes: int, **how: Any) -> Tensor:
    """The sets of label relaxation, but none where there are several classes: border pixels are left out.

    Arguments, shapes and errors as in `allowed_sets`.
    """
    sets = allowed_sets(labels, classes, **how)
    return sets.masked_fill_(several(sets), 0)


def moved_borders(
    label: Tensor,
    others: Sequence[Tensor],
    classes: int,
    rng: np.random.Generator,
    *,
    strict: tuple[int, ...] = (),
    **how: Any,
) -> Tensor:
    """As many sets of several classes as label relaxation has in an image, and of the same sizes, elsewhere.

    label and each of `others`: (H, W). others: labels of other frames, whose borders are the places; the second frame
    counts where the first has too few, then random places do. A set there holds the pixel's own label, and else the
    classes of one of the image's own borders. Border pixels that are not drawn have their own label, and void ones
    none. rng draws which places and which classes. Returns (H, W); other arguments and errors as in `allowed_sets`.
    """
    sets = allowed_sets(label[None], classes, strict=strict, **how)[0]  # (H, W)
    own = allowed_sets(label[None], classes, border=0)[0]
    border = several(sets)
    free = ~torch.isin(label, torch.tensor((VOID, *strict), dtype=label.dtype))
    moved = sets[border][: int(free.sum())]  # (N,)
    moved = moved[torch.from_numpy(rng.permutation(len(moved)))]

    rank, seen = rng.random(label.shape), ~free.numpy()  # the lowest ranks are taken
    rank[seen] = np.inf
    for other in others:
        seen |= several(allowed_sets(other[None], classes, strict=strict, **how))[0].numpy()
        rank += ~seen
    limit = np.partition(np.append(rank, np.inf), len(moved))[len(moved)]  # the lowest rank that is not taken
    at = torch.from_numpy(np.flatnonzero(rank < limit))

    first = moved & -moved
    second = (moved ^ first) & -(moved ^ first)
    dropped = torch.where(torch.from_numpy(rng.random(len(moved)) < 0.5), first, second)
    mine = own.flatten()[at]  # (N,)
    result = torch.where(border, own, sets)
    result.view(-1)[at] = torch.where(moved & mine != 0, moved, moved & ~dropped | mine)
    return result
