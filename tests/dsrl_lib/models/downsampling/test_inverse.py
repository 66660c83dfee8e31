"""Interpolation back to the image: exact on linear functions, as SciPy's, every pixel once."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from downsampling_cases import grids, linear, pixel_places, random
from scipy.interpolate import griddata

from dsrl_lib.models.downsampling.inverse import (
    at_places,
    grid_coordinates,
    interpolate_back,
    pairs_of_cells_and_pixels,
)
from dsrl_lib.models.downsampling.inverse_numba import loop_over_cells
from dsrl_lib.models.downsampling.locations import (
    cell_areas,
    resize_locations,
    solve_locations,
    unfolded,
    uniform_locations,
)
from dsrl_lib.models.downsampling.sampler import sample


@pytest.mark.parametrize("size", [(9, 40), (40, 9), (23, 31)])
@pytest.mark.parametrize("samples", [(4, 5), (9, 11), (16, 30)])  # the grid itself, and grids resized from it
def test_affine_scores_come_back_exactly(size, samples):
    locations = grids(3)
    scores = linear(resize_locations(locations, samples)).movedim(-1, 1)
    expected = linear(pixel_places(size)).movedim(-1, 0).expand(3, -1, -1, -1)
    assert torch.allclose(interpolate_back(scores, locations, size), expected, atol=1e-9)
    single = interpolate_back(scores.float(), locations.float(), size)
    assert single.dtype == torch.float32 and torch.allclose(single, expected.float(), atol=1e-5)


def test_griddata_agrees_on_linear_functions():
    size, locations = (20, 30), grids(1, (6, 7))
    last = np.array(size) - 1
    scores = linear(locations[0])
    places, values = locations[0].flatten(0, 1).numpy() * last, scores.flatten(0, 1).numpy()
    theirs = griddata(places, values, tuple(np.mgrid[: size[0], : size[1]]))
    ours = interpolate_back(scores.movedim(-1, 0)[None], locations, size)[0].movedim(0, -1)
    inside = np.isfinite(theirs).all(-1)  # rounding leaves pixels of the border outside its hull
    assert inside.mean() > 0.8 and ours.numpy()[inside] == pytest.approx(theirs[inside], abs=1e-9)


@pytest.mark.parametrize("size", [(2, 2), (17, 5), (48, 64)])
@pytest.mark.parametrize("grid", [(2, 2), (3, 8), (12, 16)])
def test_every_pixel_has_its_place_in_the_grid(size, grid):
    locations = unfolded(random(3, *grid, 2, seed=grid[0]))
    index = grid_coordinates(locations, size)
    at = (2 * index / (torch.tensor(grid) - 1) - 1).flip(-1)
    there = F.grid_sample(locations.movedim(-1, 1), at, align_corners=True).movedim(1, -1)  # the bilinear map itself
    assert torch.allclose(there, pixel_places(size).expand_as(there), atol=1e-9)


def test_a_folded_grid_leaves_no_pixel_out():
    locations = solve_locations(random(2, 8, 8, 2), 0.0)
    assert (cell_areas(locations) < 0).any()
    scores = linear(locations).movedim(-1, 1)
    expected = linear(pixel_places((30, 40))).movedim(-1, 0).expand(2, -1, -1, -1)
    assert torch.allclose(interpolate_back(scores, locations, (30, 40)), expected, atol=1e-6)


@pytest.mark.parametrize("find", [loop_over_cells, pairs_of_cells_and_pixels])
@pytest.mark.parametrize("grid", [(2, 2), (7, 4)])
def test_both_ways_to_find_the_cells_invert_the_map(find, grid):
    size = (19, 26)
    for locations in (*unfolded(random(2, *grid, 2, seed=1)), solve_locations(random(*grid, 2), 0.0)):
        nodes = locations * (torch.tensor(size) - 1)
        index = find(nodes[None], size, 1e-6)[0]  # (H, W, 2)
        at = (2 * index / (torch.tensor(grid) - 1) - 1).flip(-1)[None]
        there = F.grid_sample(nodes.movedim(-1, 0)[None], at, align_corners=True)[0].movedim(0, -1)
        pixels = torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"), -1)
        assert torch.allclose(there, pixels.double(), atol=1e-4)
    outside = find(nodes[None] / 2, size, 1e-6)[0].isnan()
    assert outside[-1].all() and outside[:, -1].all() and not outside[0, 0].any()


def test_the_gradient_in_the_scores():
    scores, locations = random(2, 2, 4, 5).requires_grad_(), grids()
    assert torch.autograd.gradcheck(lambda x: interpolate_back(x, locations, (5, 7)), scores)
    assert not interpolate_back(scores.detach(), locations.requires_grad_(), (5, 7)).requires_grad


def test_a_uniform_grid_comes_back_by_plain_resizing():
    scores, uniform = random(1, 3, 5, 6), uniform_locations((4, 4), torch.float64)[None]
    expected = F.interpolate(scores, (11, 16), mode="bilinear", align_corners=True)
    assert torch.allclose(interpolate_back(scores, uniform, (11, 16)), expected)


def test_scores_at_twice_the_size_of_the_sampled_image():
    scores, uniform = random(1, 3, 10, 12), uniform_locations((4, 4), torch.float64)[None]
    expected = F.interpolate(scores, (5, 6), mode="bilinear", align_corners=False)
    places = grid_coordinates(resize_locations(uniform, (5, 6)), (5, 6))
    assert torch.allclose(at_places(scores, places, (5, 6)), expected)


def test_half_precision_scores_are_raised():
    scores, locations = random(1, 2, 4, 5).half(), grids(1)
    expected = interpolate_back(scores.float(), locations, (9, 9))
    assert torch.equal(interpolate_back(scores, locations, (9, 9)), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees():
    image, locations = random(2, 3, 24, 32), solve_locations(random(2, 8, 8, 2), 1.0)
    assert torch.allclose(solve_locations(random(2, 8, 8, 2).cuda(), 1.0).cpu(), locations)
    assert torch.allclose(unfolded(2 * locations.cuda()).cpu(), unfolded(2 * locations))
    samples = sample(image, locations, (12, 16))
    assert torch.allclose(sample(image.cuda(), locations.cuda(), (12, 16)).cpu(), samples)
    back = interpolate_back(samples.cuda(), locations.cuda(), (24, 32))
    assert torch.allclose(back.cpu(), interpolate_back(samples, locations, (24, 32)))
