"""Locations from true labels: what the auxiliary network learns, the oracle, the mean grid, and random ones as far."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from dsrl_lib.config import Downsampling
from dsrl_lib.models.downsampling.locations import solve_locations, unfolded, uniform_locations
from dsrl_lib.models.downsampling.targets import sampling_targets


def label_locations(labels: np.ndarray | Tensor, settings: Downsampling, rng: np.random.Generator) -> Tensor:
    """The locations of a frame by its labels (H, W), (n, m, 2): solved, or as `jittered_locations` if these are asked.

    Solved locations may fold in a few cells of a fine grid. They still cover the frame, so nothing is repaired.
    """
    if settings.locations == "jitter":
        return jittered_locations(labels, settings, rng)
    return solved_locations(labels, settings)


def solved_locations(labels: np.ndarray | Tensor, settings: Downsampling) -> Tensor:
    """The minimiser of the energy for the boundaries of a label map (H, W), (n, m, 2) float32."""
    targets = sampling_targets(labels, (settings.rows, settings.columns), classes=target_classes(settings))
    return solve_locations(targets, settings.lam)


def target_classes(settings: Downsampling, classes: int | None = None) -> tuple[int, ...] | None:
    """downsampling.classes as numbers; None for all. ValueError if one is not below `classes`, where that is given."""
    numbers = tuple(map(int, settings.classes.split()))
    if numbers and classes is not None and numbers[-1] >= classes:
        raise ValueError(f"downsampling.classes = {settings.classes!r}; allowed: numbers from 0 to {classes - 1}")
    return numbers or None


def mean_locations(label_maps: Iterable[np.ndarray], settings: Downsampling) -> Tensor:
    """The mean of the solved locations over label maps (H, W) of any sizes, (n, m, 2)."""
    return torch.stack([solved_locations(labels, settings) for labels in label_maps]).mean(0)


def jittered_locations(labels: np.ndarray | Tensor, settings: Downsampling, rng: np.random.Generator) -> Tensor:
    """Random smooth locations without folds, (n, m, 2), as far from uniform as the solved ones of `labels`.

    The energy is minimised for targets of normal noise around the uniform grid, and the shifts are then scaled to the
    root mean square of the solved ones. Noise has no large shapes, so it takes four times lambda to be as smooth: with
    lambda itself, a tenth of such grids on CamVid would fold.
    """
    uniform = uniform_locations((settings.rows, settings.columns))
    noise = torch.from_numpy(rng.standard_normal(tuple(uniform.shape))).float()
    shift = solve_locations(uniform + noise, 4 * settings.lam) - uniform
    wanted = (solved_locations(labels, settings) - uniform).square().mean().sqrt()
    return unfolded(uniform + shift * wanted / shift.square().mean().sqrt())
