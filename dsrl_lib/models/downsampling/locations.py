"""Sampling locations: the minimiser of the energy of Marin et al. (ICCV 2019), Eq. 2, and the repair of folded grids.

E(phi) = sum_ij |phi_ij - b_ij|^2 + lambda sum over 4-neighbours p, q of |phi_p - phi_q|^2, where the samples have to
cover the frame (Eq. 3): the row coordinate is 0 and 1 in the first and last row of the grid, and the column coordinate
in the first and last column. With the displacement d = phi - u from the uniform grid u, whose Laplacian is zero where
a node is free, the minimum is at (I + lambda L) d = b - u, for each coordinate alone, with d = 0 where it is fixed.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from dsrl_lib.models.sizes import exporting

LEAST_AREA = 1e-4
"""A cell with a corner of less than this share of a uniform cell's area counts as folded: it has no stable inverse."""


def uniform_locations(size: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    """The grid u, (n, m, 2): row and column in [0, 1], corners included. ValueError unless n, m >= 2."""
    if len(size) != 2 or min(size) < 2:
        raise ValueError(f"a grid of locations has size={tuple(size)!r}; allowed: (n, m), at least 2 each")
    axes = (torch.linspace(0, 1, length, dtype=torch.float64) for length in size)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).to(dtype)  # (n, m, 2)


def resize_locations(locations: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation of locations (B, n, m, 2) -> (B, *size, 2) that keeps the corners.

    In float64, or as they are if they have that size. In float32 the border of the grid would miss the border of the
    frame by some 1e-5 pixels, and pixels there have no cell. (Devices of Apple have no float64.)
    """
    if not exporting() and tuple(locations.shape[1:3]) == tuple(size):
        return locations
    precise = torch.float32 if locations.device.type == "mps" else torch.float64
    planes = locations.movedim(-1, 1).to(precise)  # (B, 2, n, m)
    if exporting():  # other programs interpolate float32 alone
        rows, columns = (_between_corners(planes, axis, size[axis]) for axis in (0, 1))
        return (rows @ planes @ columns.mT).movedim(1, -1)
    return F.interpolate(planes, tuple(size), mode="bilinear", align_corners=True).movedim(1, -1)


def _between_corners(planes: Tensor, axis: int, length: int) -> Tensor:
    """Weights of the nodes along an axis of planes (B, 2, n, m) at places from corner to corner, (length, n)."""
    node = torch.arange(planes.shape[2 + axis], device=planes.device)
    place = torch.arange(length, device=planes.device)
    at = (place * node[-1]).to(planes.dtype) / place[-1]
    return (1 - (at[:, None] - node).abs()).clamp_min(0)


def solve_locations(targets: Tensor, lam: float) -> Tensor:
    """The locations phi that minimise E under the covering constraints, of the shape and type of `targets`.

    targets: b, (..., n, m, 2), row and column in [0, 1]; n and m at least 2.
    lam: lambda >= 0. 0 lets all free nodes collapse onto their targets, math.inf gives the uniform grid. The paper
        takes 1 at 8x8. The smoothing reaches sqrt(lambda) cells, so ((n - 1) / 7)^2 on n x n nodes equals 1 at 8x8.

    The Laplacian of a grid is a sum over its two axes, so the eigenvectors of a path along each axis solve the system
    exactly by products of small matrices, on any device. They are computed once per size and lambda.

    Raises ValueError for other shapes and for a negative lambda.
    """
    targets = torch.as_tensor(targets)
    if targets.dim() < 3 or targets.shape[-1] != 2 or not targets.is_floating_point():
        raise ValueError(
            f"solve_locations: targets {tuple(targets.shape)} of {targets.dtype}; allowed: floats (..., n, m, 2)"
        )
    if not lam >= 0:
        raise ValueError(f"solve_locations: lam={lam!r}; allowed: 0 or larger")
    n, m = targets.shape[-3:-1]
    system = _system(n, m, float(lam), targets.dtype, targets.device)
    uniform, planes, to_rows, to_columns, damping, from_rows, from_columns = system
    times = torch.bmm if targets.dim() == 3 else torch.matmul  # of the same bits; matmul takes longer to begin
    displacement = targets.movedim(-1, -3).contiguous() - planes  # (..., 2, n, m)
    modes = times(times(to_rows, displacement), to_columns)  # (..., 2, n, m)
    solved = times(times(from_rows, modes * damping), from_columns)  # (..., 2, n, m)
    return uniform + solved.movedim(-3, -1)  # (..., n, m, 2)


@lru_cache(maxsize=16)
def _system(n: int, m: int, lam: float, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """u (n, m, 2) and as planes (2, n, m); products to the eigenvectors along both axes, (2, n, n) and (2, m, m);
    1 / (1 + lambda eigenvalue) (2, n, m); products back.

    The leading 2 is the coordinate: rows are fixed at the ends of the first axis, columns at those of the second.
    """
    uniform = uniform_locations((n, m), torch.float64)
    paths = [(_path(n, fixed_ends=True), _path(m, fixed_ends=False)), (_path(n, False), _path(m, True))]
    damping = torch.stack([1 / (1 + lam * (rows[:, None] + columns)) for (rows, _), (columns, _) in paths])
    rows, columns = (torch.stack([path[axis][1] for path in paths]) for axis in (0, 1))
    parts = (uniform, uniform.movedim(-1, 0), rows.mT, columns, damping, rows, columns.mT)
    return tuple(part.contiguous().to(device, dtype) for part in parts)


def _path(length: int, fixed_ends: bool) -> tuple[Tensor, Tensor]:
    """Eigenvalues (length,) and eigenvectors (length, length) of the Laplacian of a path of nodes, float64.

    With fixed ends two of the vectors are zero: nothing moves there. Their eigenvalue is never used.
    """
    step = torch.diff(torch.eye(length, dtype=torch.float64), dim=0)  # (length - 1, length)
    laplacian = step.mT @ step
    if not fixed_ends:
        return torch.linalg.eigh(laplacian)
    values, vectors = torch.ones(length, dtype=torch.float64), torch.zeros_like(laplacian)
    values[1:-1], vectors[1:-1, 1:-1] = torch.linalg.eigh(laplacian[1:-1, 1:-1])
    return values, vectors


def cell_areas(locations: Tensor) -> Tensor:
    """Jacobian at the four corners of each bilinear cell, (..., 4, n - 1, m - 1), in shares of a uniform cell's area.

    The Jacobian determinant is affine inside a cell, so a cell is one-to-one exactly if all four are positive.
    locations: (..., n, m, 2).
    """
    n, m = locations.shape[-3:-1]
    down, right = locations.diff(dim=-3), locations.diff(dim=-2)  # (..., n - 1, m, 2) and (..., n, m - 1, 2)
    corners = [
        d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0]
        for d in (down[..., :-1, :], down[..., 1:, :])
        for r in (right[..., :-1, :, :], right[..., 1:, :, :])
    ]
    return torch.stack(corners, -3) * ((n - 1) * (m - 1))


def unfolded(locations: Tensor) -> Tensor:
    """Any grid, such as a predicted one, made to cover the frame and to be one-to-one, of the same shape.

    Cuts coordinates to [0, 1] and imposes the covering constraints. A grid with folds is blended towards the
    uniform grid u: phi = u + t (phi - u) with the largest t of 1, 1/2, 1/4, ... that has none.

    locations: (..., n, m, 2). Each grid of a batch has its t. All shapes are static, so an exporter can follow.
    """
    # DEVIATION: a predicted grid of adaptive downsampling that folds is blended towards the uniform grid, since the
    # inverse needs one-to-one cells. The released code (Marin et al.) takes it as it is.
    n, m = locations.shape[-3:-1]
    uniform = uniform_locations((n, m), locations.dtype).to(locations.device, non_blocking=True)
    fixed = (uniform == 0) | (uniform == 1)  # where u lies on the border of the frame, in the coordinate across it
    covering = torch.where(fixed, uniform, locations.clamp(0, 1))
    # With the last t no cell can fold, since no coordinate moves by more than a quarter of a cell.
    halvings = math.ceil(math.log2(4 * (max(n, m) - 1)))
    steps = 0.5 ** torch.arange(halvings + 1, device=locations.device, dtype=locations.dtype)
    blends = uniform + steps.view(-1, *(1,) * covering.dim()) * (covering - uniform)  # (t, ..., n, m, 2)
    whole = (cell_areas(blends) > LEAST_AREA).flatten(-3).all(-1)  # (t, ...)
    first = whole.int().argmax(0)  # (...)
    return blends.gather(0, first[None, ..., None, None, None].expand_as(covering[None]))[0]
