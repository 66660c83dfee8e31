"""Where an image should be sampled: boundary pixels and the nearest ones, against the original's numbers."""

import math

import numpy as np
import pytest
import torch
from downsampling_cases import golden, pixel_places

from dsrl_lib.models.downsampling.locations import (
    solve_locations,
    uniform_locations,
)
from dsrl_lib.models.downsampling.targets import boundary_pixels, sampling_targets


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
