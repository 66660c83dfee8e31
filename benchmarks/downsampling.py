"""Adaptive downsampling: solving for locations and interpolating back, against what SciPy has for such problems."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from scipy.interpolate import griddata
from scipy.optimize import lsq_linear
from scipy.sparse.linalg import splu
from torch import Tensor

from benchmarks.timing import milliseconds
from dsrl_lib.models.downsampling.inverse import interpolate_back
from dsrl_lib.models.downsampling.locations import resize_locations, solve_locations

Size = tuple[int, int]
Rows = list[dict[str, str | float]]

GRIDS: tuple[Size, ...] = ((8, 8), (48, 64), (96, 128))
# Samples, frame and classes of a CamVid step at half the resolution.
SAMPLES, FRAME, CLASSES = (180, 240), (360, 480), 11


def downsampling_bench(grids: tuple[Size, ...] = GRIDS, repeats: int = 3) -> Rows:
    """Rows with `what`, `size`, `form`, `milliseconds` and `ratio` to the rival: SciPy's general solver or griddata.

    milliseconds: the median over `repeats` after a warm-up, so without the first factorisation of a size.
    """
    return [row for grid in grids for row in solve_bench(grid, repeats)] + back_bench(SAMPLES, FRAME, CLASSES, repeats)


def solve_bench(grid: Size, repeats: int) -> Rows:
    """The locations of one frame at lambda = 1, both coordinates."""
    targets = _targets(grid)
    systems = [least_squares(targets[..., axis].numpy(), axis, 1.0) for axis in (0, 1)]
    factors = [(splu((A.T @ A).tocsc()), A, y) for A, y in systems]
    return _rows("solve", grid, repeats, {
        "scipy lsq_linear": lambda: [lsq_linear(A, y).x for A, y in systems],
        "scipy splu, kept": lambda: [lu.solve(A.T @ y) for lu, A, y in factors],
        "solve_locations": lambda: solve_locations(targets, 1.0),
    })  # fmt: skip


def back_bench(samples: Size, frame: Size, classes: int, repeats: int) -> Rows:
    """The scores of one frame, sampled at the 8x8 locations that are resized to `samples`."""
    locations = solve_locations(_targets((8, 8)), 1.0)[None].float()
    scores = torch.rand(1, classes, *samples, generator=torch.Generator().manual_seed(1))
    places = resize_locations(locations, samples)[0].flatten(0, 1).numpy() * (np.array(frame) - 1)
    values = scores[0].flatten(1).T.numpy()
    pixels = tuple(np.mgrid[: frame[0], : frame[1]])
    return _rows("interpolate back", samples, repeats, {
        "scipy griddata": lambda: griddata(places, values, pixels),
        "interpolate_back": lambda: interpolate_back(scores, locations, frame),
    })  # fmt: skip


def least_squares(targets: np.ndarray, axis: int, lam: float) -> tuple[sparse.csr_array, np.ndarray]:
    """A and y of the energy |A x - y|^2 (Eq. 2 of Marin et al.) of one coordinate's free nodes x, as a solver takes it.

    targets: (n, m) of the coordinate. axis: the axis along which the coordinate is fixed to 0 and 1 at the ends.
    """
    shape = targets.shape
    steps = [sparse.diags_array([-np.ones(k), np.ones(k)], offsets=[0, 1], shape=(k - 1, k)) for k in shape]
    pairs = sparse.vstack([
        sparse.kron(steps[0], sparse.eye_array(shape[1])), sparse.kron(sparse.eye_array(shape[0]), steps[1])
    ])  # fmt: skip
    A = sparse.vstack([sparse.eye_array(targets.size), np.sqrt(lam) * pairs]).tocsc()
    y = np.concatenate((targets.ravel(), np.zeros(pairs.shape[0])))
    fixed = np.full(shape, np.nan)
    ends = np.moveaxis(fixed, axis, 0)
    ends[0], ends[-1] = 0, 1
    free = np.isnan(fixed.ravel())
    return A[:, free].tocsr(), y - A[:, ~free] @ fixed.ravel()[~free]


def _targets(grid: Size) -> Tensor:
    return torch.rand(*grid, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _rows(what: str, size: Size, repeats: int, forms: dict[str, Callable[[], object]]) -> Rows:
    """The first form is the rival of the others."""
    times = {form: milliseconds(run, repeats) for form, run in forms.items()}
    rival = next(iter(times.values()))
    return [
        {"what": what, "size": f"{size[0]}x{size[1]}", "form": form, "milliseconds": ms, "ratio": rival / ms}
        for form, ms in times.items()
    ]
