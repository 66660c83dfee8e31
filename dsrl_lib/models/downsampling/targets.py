"""Sampling targets: the nearest boundary pixel b(u) of each point u of a uniform grid (Marin et al., ICCV 2019)."""

from collections.abc import Collection

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from dsrl_lib.metrics import VOID
from dsrl_lib.models.downsampling.locations import uniform_locations


def sampling_targets(
    labels: np.ndarray | Tensor, size: tuple[int, int], *, classes: Collection[int] | None = None
) -> Tensor:
    """Location of the nearest boundary pixel of each grid point, (n, m, 2) float32: row and column in [0, 1].

    Near means few pixels of the label map, so the aspect of the frame counts. Without any boundary the targets are
    the grid points themselves, and the locations solved from them are uniform.

    labels: (H, W) class ids, 255 is void; H and W at least 2, any aspect.
    size: (n, m), at least 2 each. The corners of the grid are the centres of the corner pixels.
    classes: the boundary pixels of these classes alone; None takes all.

    Raises ValueError for other shapes, sizes, types or classes.
    """
    # DEVIATION: the sampling targets of adaptive downsampling are as the paper says. The released code (Marin et al.)
    # rounds grid points down to whole pixels, takes the height for the width, leaves the frame if there is no boundary,
    # and counts a change against void as a boundary. It also takes the boundaries of chosen classes alone; here that is
    # a setting, and all arms take all classes.
    ids = np.asarray(labels)
    if ids.ndim != 2 or min(ids.shape) < 2:
        raise ValueError(f"sampling_targets: labels of shape {ids.shape}; allowed: (H, W), at least 2 each")
    uniform = uniform_locations(size)
    if ids.dtype.kind not in "biu":  # a map that was resized like an image holds classes that are none
        raise ValueError(f"sampling_targets: labels are {ids.dtype}; allowed: integers")
    if classes is not None and not (len(classes) and all(c in range(VOID) for c in classes)):
        raise ValueError(f"sampling_targets: classes={classes!r}; allowed: None, or one or more of 0 to {VOID - 1}")
    boundary = np.argwhere(boundary_pixels(ids, classes))  # (pixels, 2)
    if not len(boundary):
        return uniform
    extent = np.array(ids.shape) - 1
    # For so few points a tree of the boundary pixels is faster than the distance transform of the frame.
    tree = cKDTree(boundary, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(uniform_locations(size, torch.float64).numpy() * extent)  # (n, m)
    return torch.from_numpy((boundary[nearest] / extent).astype(np.float32))  # (n, m, 2)


def boundary_pixels(ids: np.ndarray, classes: Collection[int] | None = None) -> np.ndarray:
    """Whether a pixel has a 4-neighbour of another class, (H, W) bool. Void is no class.

    ids: (H, W), 255 is void. classes: only pixels of these classes are marked.
    """
    boundary = np.zeros(ids.shape, bool)
    for ahead, behind in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        change = (ids[ahead] != ids[behind]) & (ids[ahead] != VOID) & (ids[behind] != VOID)
        boundary[ahead] |= change
        boundary[behind] |= change
    return boundary if classes is None else boundary & np.isin(ids, list(classes))
