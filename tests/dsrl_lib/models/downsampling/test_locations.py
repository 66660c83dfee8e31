"""Locations against stored numbers of the original and dense least squares; grids without folds."""

import math

import pytest
import torch
from downsampling_cases import LAMBDAS, dense_solution, golden, near_targets, random

from dsrl_lib.models.downsampling.locations import (
    LEAST_AREA,
    cell_areas,
    solve_locations,
    unfolded,
    uniform_locations,
)


@pytest.mark.parametrize("name", ["8x8", "6x9", "targets", "12x12"])
@pytest.mark.parametrize("lam", LAMBDAS)
def test_locations_are_the_golden_ones(name, lam):
    z = golden(f"energy_{name}")
    locations = solve_locations(torch.from_numpy(z["b"]), LAMBDAS[lam])
    assert locations.numpy() == pytest.approx(z[f"phi_{lam}"], abs=1e-6)
    assert solve_locations(torch.from_numpy(z["b"]).float(), LAMBDAS[lam]).numpy() == pytest.approx(
        z[f"phi_{lam}"], abs=1e-5
    )


@pytest.mark.parametrize("size", [(5, 7), (9, 4), (3, 3), (2, 6), (2, 2)])
@pytest.mark.parametrize("lam", [0, 0.05, 1, 30])
def test_locations_are_those_of_dense_least_squares(size, lam):
    targets = random(*size, 2)
    assert solve_locations(targets, lam).numpy() == pytest.approx(dense_solution(targets.numpy(), lam), abs=1e-9)


def test_a_batch_is_solved_grid_by_grid():
    targets = random(2, 3, 6, 5, 2)
    together = solve_locations(targets, 0.7)
    for i in range(2):
        for j in range(3):
            assert torch.allclose(together[i, j], solve_locations(targets[i, j], 0.7), atol=1e-12)


def test_lambda_without_end_gives_the_uniform_grid():
    targets, uniform = random(6, 8, 2), uniform_locations((6, 8), torch.float64)
    assert torch.allclose(solve_locations(targets, 1e12), uniform, atol=1e-9)
    assert torch.equal(solve_locations(targets, math.inf), uniform)


def test_lambda_0_folds_and_is_mended():
    locations = solve_locations(random(8, 8, 2), 0.0)
    assert (cell_areas(locations) < 0).any()
    mended = unfolded(locations)
    assert (cell_areas(mended) > 0).all()
    uniform = uniform_locations((8, 8), torch.float64)
    t = ((mended - uniform).norm() / (locations - uniform).norm()).item()
    assert math.log2(t) == pytest.approx(round(math.log2(t))) and 0 < t < 1
    assert torch.allclose(mended, uniform + t * (locations - uniform))
    assert (cell_areas(uniform + 2 * t * (locations - uniform)) <= LEAST_AREA).any()  # t is the largest


def test_a_grid_without_folds_stays_and_each_grid_has_its_own_blend():
    good, bad = solve_locations(near_targets(8, 8), 1.0), solve_locations(random(8, 8, 2), 0.0)
    both = unfolded(torch.stack((good, bad)))
    assert torch.allclose(both[0], good, atol=1e-15) and torch.equal(both[1], unfolded(bad))


@pytest.mark.parametrize("size", [(2, 2), (3, 9), (24, 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_grid_is_mended(size, dtype):
    wild = 20 * random(4, *size, 2, dtype=dtype) - 10
    wild[1] = uniform_locations(size, dtype).flip((0, 1))  # turned by 180 degrees
    mended = unfolded(wild)
    assert (cell_areas(mended) > 0).all() and mended.dtype == dtype
    assert (mended[:, 0, :, 0] == 0).all() and (mended[:, -1, :, 0] == 1).all()
    assert (mended[:, :, 0, 1] == 0).all() and (mended[:, :, -1, 1] == 1).all()


def test_areas_of_cells_by_hand():
    cell = torch.tensor([[[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.25, 0.25]]])  # the last corner is pushed in
    assert cell_areas(cell).flatten().tolist() == [1.0, 0.25, 0.25, -0.5]  # at 00, 01, 10, 11
    assert (cell_areas(uniform_locations((4, 7), torch.float64)) - 1).abs().max() < 1e-12
