"""Sampled images: against stored numbers, plain resizing, and the adjoint of interpolating back."""

import pytest
import torch
import torch.nn.functional as F
from downsampling_cases import golden, grids, near_targets, random

from dsrl_lib.models.downsampling.inverse import grid_coordinates, interpolate_back
from dsrl_lib.models.downsampling.locations import (
    resize_locations,
    solve_locations,
    unfolded,
    uniform_locations,
)
from dsrl_lib.models.downsampling.sampler import _corner_by_corner, _footprints, sample
from dsrl_lib.models.downsampling.sampler_numba import loop_over_pixels


@pytest.mark.parametrize("name", ["small", "wide"])
def test_samples_are_the_golden_ones(name):
    z = {key: torch.from_numpy(value) for key, value in golden(f"sampling_{name}").items() if key != "note"}
    image, locations = z["image"].movedim(-1, 0)[None], z["locations"][None]
    size = tuple(locations.shape[1:3])
    assert torch.allclose(unfolded(z["locations_raw"]), z["locations"], atol=1e-6)  # cut and covering
    assert torch.allclose(resize_locations(z["small"][None], size), z["resized"][None], atol=1e-6)
    points = sample(image, locations, filter="bilinear")
    assert torch.allclose(points[0].movedim(0, -1), z["bilinear"], atol=1e-5)
    picked = sample(image, locations, filter="nearest")
    assert torch.equal(picked[0].movedim(0, -1), z["nearest"])
    back = interpolate_back(z["linear_values"].movedim(-1, 0)[None], locations, tuple(image.shape[2:]))
    assert torch.allclose(back[0].movedim(0, -1), z["linear_interpolated"], atol=1e-5)


def test_nearest_samples_are_pixels():
    image, locations = random(1, 3, 20, 30), grids(1)
    samples = sample(image, locations, (7, 9), filter="nearest").flatten(2)  # (1, 3, 63)
    assert torch.isin(samples, image).all()
    with pytest.raises(ValueError, match="allowed: footprint, bilinear, nearest"):
        sample(image, locations, filter="area")


def test_bilinear_samples_of_a_uniform_grid_are_pytorch_s_resizing():
    image = random(2, 3, 11, 14)
    uniform = uniform_locations((3, 4), torch.float64).expand(2, -1, -1, -1)
    expected = F.interpolate(image, (5, 6), mode="bilinear", align_corners=True)
    assert torch.allclose(sample(image, uniform, (5, 6), filter="bilinear"), expected)


@pytest.mark.parametrize("factor", [1, 3, 5])
def test_footprints_of_a_uniform_grid_are_anti_aliased_resizing(factor):
    h, w, edge = 5, 6, (factor - 1) // 2
    image = random(1, 3, factor * h, factor * w)
    inner = image[..., edge : factor * h - edge, edge : factor * w - edge]  # its corners are centres of samples
    ours = sample(inner, uniform_locations((h, w), torch.float64)[None])
    theirs = F.interpolate(image, (h, w), mode="bilinear", align_corners=False, antialias=True)
    assert torch.allclose(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1])
    if factor == 1:
        assert torch.allclose(ours, image)


def test_a_footprint_is_the_normalised_adjoint_of_interpolating_back():
    image, scores, locations = random(2, 3, 13, 17), random(2, 3, 4, 5, seed=1), grids()
    sums, area = _footprints(image, grid_coordinates(locations, (13, 17)), (4, 5))
    assert (sums * scores).sum() == pytest.approx((interpolate_back(scores, locations, (13, 17)) * image).sum().item())
    assert area.sum().item() == pytest.approx(2 * 13 * 17)  # each pixel gives all of its weight
    large = area > 1
    assert torch.allclose(sample(image, locations)[large.expand(-1, 3, -1, -1)], (sums / area)[large.expand_as(sums)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(4, 5), (9, 12), (30, 41)])
def test_the_compiled_loop_gives_the_bits_of_plain_pytorch(size, dtype):
    frames = random(2, 3, 13, 17).to(dtype).contiguous(memory_format=torch.channels_last)
    index = grid_coordinates(resize_locations(grids(), size), (13, 17))
    assert torch.equal(loop_over_pixels(frames, index, size), _corner_by_corner(frames, index, size))


def test_samples_have_the_gradient_of_finite_differences():
    image = random(1, 2, 6, 7).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sample(x, grids()[:1]), image)


def test_footprints_do_not_alias_and_keep_a_constant():
    board = (torch.arange(40)[:, None] + torch.arange(60)).remainder(2).double()[None, None]
    locations = solve_locations(near_targets(8, 8), 1.0)[None]
    assert (sample(board, locations, (10, 15)) - 0.5).abs().max() < 0.1
    assert (sample(board, locations, (10, 15), filter="bilinear") - 0.5).abs().max() > 0.3
    assert sample(torch.ones_like(board), locations, (10, 15)).numpy() == pytest.approx(1)


@pytest.mark.parametrize("filter", ["footprint", "bilinear", "nearest"])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_images_in_half_precision_are_raised_to_float32(half, filter):
    image, locations = random(2, 3, 13, 17).to(half), grids()
    assert torch.equal(sample(image, locations, filter=filter), sample(image.float(), locations, filter=filter))


def test_magnified_footprints_are_bilinear_samples():
    image, fine = random(1, 2, 4, 5), uniform_locations((61, 81), torch.float64)[None]
    area = _footprints(image, grid_coordinates(fine, (4, 5)), (61, 81))[1]
    free = area.expand(-1, 2, -1, -1) == 0  # far from all pixels
    assert free.any()
    assert torch.allclose(sample(image, fine)[free], sample(image, fine, filter="bilinear")[free])
