"""Stored numbers, grids and made-up images for the tests of adaptive downsampling."""

import numpy as np
import torch

from dsrl_lib.models.downsampling.locations import (
    unfolded,
    uniform_locations,
)
from dsrl_lib.paths import root

GOLDEN = root() / "tests" / "golden" / "comparators"
LAMBDAS = {"lambda1": 1.0, "lambda.1": 0.1, "lambda10": 10.0, "released_alpha.5": (1 - 0.5**0.5) / 0.5}


def golden(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def grids(batch=2, size=(4, 5), seed=0):
    """Strongly displaced grids without folds."""
    return unfolded(uniform_locations(size, torch.float64) + 0.5 * (random(batch, *size, 2, seed=seed) - 0.5))


def near_targets(n, m):
    """Targets at most a cell away from their grid points, as boundaries of a street scene mostly are."""
    return uniform_locations((n, m), torch.float64) + 2 / torch.tensor((n, m)) * (random(n, m, 2) - 0.5)


def linear(place, seed=3):
    """Three random affine functions of (row, column), channels last."""
    weight = random(2, 3, seed=seed) - 0.5
    return torch.as_tensor(place, dtype=torch.float64) @ weight + random(3, seed=seed + 1)


def pixel_places(size):
    return uniform_locations(size, torch.float64)


def dense_solution(targets, lam):
    """Least squares over all residuals of the energy, written node by node, with the fixed nodes put in."""
    n, m, _ = targets.shape
    result = np.empty((n, m, 2))
    for axis, length in ((0, n), (1, m)):
        known = {}
        for i in range(n):
            for j in range(m):
                if (i, j)[axis] in (0, length - 1):
                    known[i, j] = float((i, j)[axis] > 0)
        free = {node: k for k, node in enumerate((i, j) for i in range(n) for j in range(m) if (i, j) not in known)}
        lines, right = [], []

        def residual(parts, value, weight, known=known, free=free, lines=lines, right=right):
            line = np.zeros(len(free))
            for node, sign in parts:
                if node in free:
                    line[free[node]] += weight * sign
                else:
                    value -= sign * known[node]
            lines.append(line), right.append(weight * value)

        for i in range(n):
            for j in range(m):
                residual([((i, j), 1)], targets[i, j, axis], 1)
                for other in ((i + 1, j), (i, j + 1)):
                    if other[0] < n and other[1] < m:
                        residual([((i, j), 1), (other, -1)], 0, lam**0.5)
        x = np.linalg.lstsq(np.array(lines), np.array(right))[0] if free else []
        for node in (*known, *free):
            result[*node, axis] = known[node] if node in known else x[free[node]]
    return result
