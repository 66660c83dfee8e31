"""Adaptive downsampling against stored numbers of the original formulas, dense and naive solutions, and SciPy."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.interpolate import griddata

from benchmarks import downsampling as bench
from dsrl_lib.evaluation.cost import macs
from dsrl_lib.models import downsampling
from dsrl_lib.models.downsampling.auxiliary import LocationNetwork, location_loss
from dsrl_lib.models.downsampling.inverse import grid_coordinates, interpolate_back, pairs_of_cells_and_pixels
from dsrl_lib.models.downsampling.inverse_numba import loop_over_cells
from dsrl_lib.models.downsampling.locations import (
    SMALLEST,
    cell_areas,
    resize_locations,
    solve_locations,
    unfolded,
    uniform_locations,
)
from dsrl_lib.models.downsampling.sampler import _footprints, sample, sample_labels
from dsrl_lib.models.downsampling.targets import boundary_pixels, sampling_targets
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


# Targets


def with_void_as_a_class(z):
    """Labels and classes for which the original's boundaries are right: it takes void for a class."""
    label = np.where(z["label"] == z["ignore"], 200, z["label"])
    return label, z["targets"] if len(z["targets"]) else np.unique(z["label"][z["label"] != z["ignore"]])


@pytest.mark.parametrize("name", ["8x8", "6x9", "targets", "12x12"])
def test_boundary_pixels_are_the_original_s_but_for_void(name):
    z = golden(f"energy_{name}")
    label, classes = with_void_as_a_class(z)
    assert np.array_equal(boundary_pixels(label, classes), z["edges"])
    here = boundary_pixels(z["label"], z["targets"] if len(z["targets"]) else None)
    assert not (here & ~z["edges"]).any()
    assert (z["label"] == z["ignore"]).any() == (here != z["edges"]).any()


@pytest.mark.parametrize("name", ["8x8", "6x9", "targets", "12x12"])
def test_targets_are_as_near_as_the_original_s(name):
    z = golden(f"energy_{name}")
    label, classes = with_void_as_a_class(z)
    size, last = tuple(z["grid"].tolist()), np.array(label.shape) - 1
    targets = sampling_targets(label, size, classes=classes).numpy() * last
    grid = pixel_places(size).numpy() * last
    if (grid == np.floor(grid)).all():  # the original rounds grid points down
        assert np.linalg.norm(targets - grid, axis=-1) == pytest.approx(z["dist_at_grid"], abs=1e-5)
    ours, theirs = (np.linalg.norm(places - grid, axis=-1) for places in (targets, z["b"] * last))
    assert (ours <= theirs + 1e-5).all()


@pytest.mark.parametrize("shape", [(9, 31), (31, 9), (12, 12)])  # wide, tall, square
@pytest.mark.parametrize("classes", [None, (1, 3)])
def test_targets_are_the_nearest_boundary_pixels(shape, classes):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, (4, 4)).repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]].astype(np.uint8)
    label[2:5, 3:6] = 255
    boundary = []
    for r in range(shape[0]):
        for c in range(shape[1]):
            around = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
            near = [label[p] for p in around if 0 <= p[0] < shape[0] and 0 <= p[1] < shape[1]]
            if label[r, c] != 255 and any(x not in (255, label[r, c]) for x in near):
                boundary += [(r, c)] if classes is None or label[r, c] in classes else []
    targets = sampling_targets(torch.from_numpy(label), (5, 6), classes=classes)
    assert targets.shape == (5, 6, 2) and targets.dtype == torch.float32
    places = targets.double().numpy() * (np.array(shape) - 1)
    for i in range(5):
        for j in range(6):
            u = (i / 4 * (shape[0] - 1), j / 5 * (shape[1] - 1))
            assert tuple(np.round(places[i, j])) in boundary and places[i, j] == pytest.approx(np.round(places[i, j]))
            assert math.dist(u, places[i, j]) == pytest.approx(min(math.dist(u, p) for p in boundary), abs=1e-5)


@pytest.mark.parametrize("beside", [0, 255])
def test_without_a_boundary_everything_is_uniform(beside):
    label = np.zeros((10, 20), np.uint8)
    label[:, 12:] = beside
    targets = sampling_targets(label, (3, 4))
    assert torch.equal(targets, uniform_locations((3, 4)))
    assert torch.allclose(solve_locations(targets, 1.0), uniform_locations((3, 4)))
    label[:, 12:] = 1
    assert torch.equal(sampling_targets(label, (3, 4), classes=[7]), uniform_locations((3, 4)))


# Locations


@pytest.mark.parametrize("name", ["8x8", "6x9", "targets", "12x12"])
@pytest.mark.parametrize("lam", LAMBDAS)
def test_locations_are_the_golden_ones(name, lam):
    z = golden(f"energy_{name}")
    locations = solve_locations(torch.from_numpy(z["b"]), LAMBDAS[lam])
    assert locations.numpy() == pytest.approx(z[f"phi_{lam}"], abs=1e-6)
    assert solve_locations(torch.from_numpy(z["b"]).float(), LAMBDAS[lam]).numpy() == pytest.approx(
        z[f"phi_{lam}"], abs=1e-5
    )


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


@pytest.mark.parametrize("size", [(5, 7), (9, 4), (3, 3), (2, 6), (2, 2)])
@pytest.mark.parametrize("lam", [0, 0.05, 1, 30])
def test_locations_are_those_of_dense_least_squares(size, lam):
    targets = random(*size, 2)
    assert solve_locations(targets, lam).numpy() == pytest.approx(dense_solution(targets.numpy(), lam), abs=1e-9)


def test_the_benchmark_s_rival_solves_the_same_problem():
    targets = random(5, 7, 2).numpy()
    for axis in (0, 1):
        A, y = bench.least_squares(targets[..., axis], axis, 2.0)
        x = np.linalg.lstsq(A.toarray(), y)[0]
        free = np.moveaxis(dense_solution(targets, 2.0)[..., axis], axis, 0)[1:-1]
        assert np.moveaxis(free, 0, axis).ravel() == pytest.approx(x)


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
    assert (cell_areas(uniform + 2 * t * (locations - uniform)) <= SMALLEST).any()  # t is the largest


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


# Sampling


@pytest.mark.parametrize("name", ["small", "wide"])
def test_samples_are_the_golden_ones(name):
    z = {key: torch.from_numpy(value) for key, value in golden(f"sampling_{name}").items() if key != "note"}
    image, locations = z["image"].movedim(-1, 0)[None], z["locations"][None]
    size = tuple(locations.shape[1:3])
    assert torch.allclose(unfolded(z["locations_raw"]), z["locations"], atol=1e-6)  # cut and covering
    assert torch.allclose(resize_locations(z["small"][None], size), z["resized"][None], atol=1e-6)
    points = sample(image, locations, footprint=False)
    assert torch.allclose(points[0].movedim(0, -1), z["bilinear"], atol=1e-5)
    for channel in (0, 1):
        picked = sample_labels(z["image"][None, ..., channel], locations)
        assert torch.equal(picked[0], z["nearest"][..., channel])
    back = interpolate_back(z["linear_values"].movedim(-1, 0)[None], locations, tuple(image.shape[2:]))
    assert torch.allclose(back[0].movedim(0, -1), z["linear_interpolated"], atol=1e-5)


def test_bilinear_samples_of_a_uniform_grid_are_pytorch_s_resizing():
    image = random(2, 3, 11, 14)
    uniform = uniform_locations((3, 4), torch.float64).expand(2, -1, -1, -1)
    expected = F.interpolate(image, (5, 6), mode="bilinear", align_corners=True)
    assert torch.allclose(sample(image, uniform, (5, 6), footprint=False), expected)


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
    sums, area = _footprints(image, locations)
    assert (sums * scores).sum() == pytest.approx((interpolate_back(scores, locations, (13, 17)) * image).sum().item())
    assert area.sum().item() == pytest.approx(2 * 13 * 17)  # each pixel gives all of its weight
    large = area > 1
    assert torch.allclose(sample(image, locations)[large.expand(-1, 3, -1, -1)], (sums / area)[large.expand_as(sums)])


def test_footprints_do_not_alias_and_keep_a_constant():
    board = (torch.arange(40)[:, None] + torch.arange(60)).remainder(2).double()[None, None]
    locations = solve_locations(near_targets(8, 8), 1.0)[None]
    assert (sample(board, locations, (10, 15)) - 0.5).abs().max() < 0.1
    assert (sample(board, locations, (10, 15), footprint=False) - 0.5).abs().max() > 0.3
    assert sample(torch.ones_like(board), locations, (10, 15)).numpy() == pytest.approx(1)


def test_magnified_footprints_are_bilinear_samples():
    image, fine = random(1, 2, 4, 5), uniform_locations((61, 81), torch.float64)[None]
    free = _footprints(image, fine)[1].expand(-1, 2, -1, -1) == 0  # far from all pixels
    assert free.any()
    assert torch.allclose(sample(image, fine)[free], sample(image, fine, footprint=False)[free])


def test_labels_of_a_uniform_grid_are_every_other_pixel():
    labels = torch.arange(5 * 7).view(1, 5, 7)
    assert torch.equal(sample_labels(labels, uniform_locations((3, 4))[None]), labels[:, ::2, ::2])


# Interpolation back


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
        index = find(nodes, size, 1e-6)  # (H, W, 2)
        at = (2 * index / (torch.tensor(grid) - 1) - 1).flip(-1)[None]
        there = F.grid_sample(nodes.movedim(-1, 0)[None], at, align_corners=True)[0].movedim(0, -1)
        pixels = torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"), -1)
        assert torch.allclose(there, pixels.double(), atol=1e-4)
    outside = find(nodes / 2, size, 1e-6).isnan()
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
    assert torch.allclose(interpolate_back(scores, uniform, (5, 6), sampled=(5, 6)), expected)


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


# The auxiliary network


def test_the_auxiliary_network_is_small():
    assert 1e6 <= macs(LocationNetwork().eval(), torch.zeros(1, 3, 64, 64)) <= 3e6


@pytest.mark.parametrize("grid", [(8, 8), (4, 6)])
def test_training_starts_at_the_uniform_grid_for_any_image(grid):
    locations = LocationNetwork(grid)(random(2, 3, 50, 90, dtype=torch.float32))
    assert torch.equal(locations, uniform_locations(grid).expand(2, -1, -1, -1))


def test_the_auxiliary_network_learns_locations():
    torch.manual_seed(0)
    images, solved = torch.randn(4, 3, 64, 64), solve_locations(random(4, 8, 8, 2, dtype=torch.float32), 1.0)
    network = LocationNetwork()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = location_loss(network(images), solved)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx((solved - uniform_locations((8, 8))).square().mean().item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())


# Bad input, the door and the benchmark


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampling_targets(np.zeros((3, 4, 5)), (2, 2)), r"labels of shape \(3, 4, 5\); allowed: \(H, W\)"),
        (lambda: sampling_targets(np.zeros((4, 4)), (1, 2)), r"size=\(1, 2\); allowed: \(n, m\), at least 2"),
        (lambda: solve_locations(random(4, 4, 2), -1), "lam=-1; allowed: 0 or larger"),
        (lambda: solve_locations(random(4, 4, 2), math.nan), "lam=nan; allowed: 0 or larger"),
        (lambda: solve_locations(random(4, 4, 3), 1), r"targets \(4, 4, 3\)"),
        (lambda: sample(random(1, 8, 8), grids(1)), r"frames \(1, 8, 8\)"),
        (lambda: sample_labels(random(1, 3, 8, 8), grids(1)), r"labels \(B, H, W\)"),
        (lambda: interpolate_back(random(2, 3, 4, 5), grids(1), (8, 8)), r"scores \(2, 3, 4, 5\) and locations \(1"),
        (lambda: interpolate_back(random(1, 3, 4, 5), grids(1) / 2, (8, 8)), "in no cell.*see `unfolded`"),
        (lambda: interpolate_back(random(1, 3, 4, 5), grids(1) * math.nan, (8, 8)), "not finite"),
        (lambda: interpolate_back(random(1, 3, 4, 5), grids(1), (1, 8)), r"size=\(1, 8\)"),
    ],
)
def test_errors_name_the_setting(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_package_offers_its_parts():
    assert downsampling.sampling_targets is sampling_targets and downsampling.sample is sample
    assert all(callable(getattr(downsampling, name)) for name in downsampling.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        downsampling.nothing  # noqa: B018


def test_bench_rows():
    rows = bench.solve_bench((3, 4), repeats=1) + bench.back_bench((8, 9), (16, 18), 2, repeats=1)
    assert [row["form"] for row in rows if row["ratio"] == 1] == ["scipy lsq_linear", "scipy griddata"]
    assert len(rows) == 5 and all(row["milliseconds"] > 0 for row in rows)
