"""The rivals of adaptive downsampling solve the same problem."""

import numpy as np
import pytest
from downsampling_cases import dense_solution, random

from benchmarks import downsampling as bench


def test_the_benchmark_s_rival_solves_the_same_problem():
    targets = random(5, 7, 2).numpy()
    for axis in (0, 1):
        A, y = bench.least_squares(targets[..., axis], axis, 2.0)
        x = np.linalg.lstsq(A.toarray(), y)[0]
        free = np.moveaxis(dense_solution(targets, 2.0)[..., axis], axis, 0)[1:-1]
        assert np.moveaxis(free, 0, axis).ravel() == pytest.approx(x)


def test_bench_rows():
    rows = bench.solve_bench((3, 4), repeats=1) + bench.back_bench((8, 9), (16, 18), 2, repeats=1)
    assert [row["form"] for row in rows if row["ratio"] == 1] == ["scipy lsq_linear", "scipy griddata"]
    assert len(rows) == 5 and all(row["milliseconds"] > 0 for row in rows)
