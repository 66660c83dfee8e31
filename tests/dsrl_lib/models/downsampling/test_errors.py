"""Bad input to adaptive downsampling."""

import math

import numpy as np
import pytest
import torch
from downsampling_cases import grids, random

from dsrl_lib.config import Downsampling
from dsrl_lib.models.downsampling.downsampler import Downsampler
from dsrl_lib.models.downsampling.inverse import interpolate_back
from dsrl_lib.models.downsampling.locations import solve_locations
from dsrl_lib.models.downsampling.sampler import sample
from dsrl_lib.models.downsampling.targets import sampling_targets


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampling_targets(np.zeros((3, 4, 5)), (2, 2)), r"labels of shape \(3, 4, 5\); allowed: \(H, W\)"),
        (lambda: sampling_targets(np.zeros((4, 4)), (1, 2)), r"size=\(1, 2\); allowed: \(n, m\), at least 2"),
        (lambda: sampling_targets(torch.rand(4, 4), (2, 2)), "labels are float32; allowed: integers"),
        (lambda: solve_locations(random(4, 4, 2), -1), "lam=-1; allowed: 0 or larger"),
        (lambda: solve_locations(random(4, 4, 2), math.nan), "lam=nan; allowed: 0 or larger"),
        (lambda: solve_locations(random(4, 4, 3), 1), r"targets \(4, 4, 3\)"),
        (lambda: sample(random(1, 8, 8), grids(1)), r"image \(1, 8, 8\)"),
        (lambda: Downsampler(Downsampling(), 0.5), "downsampling.locations = 'none'; allowed: uniform, mean"),
        (lambda: Downsampler(Downsampling("uniform"), 0.0), r"scale = 0.0; allowed: a number above 0"),
        (lambda: interpolate_back(random(2, 3, 4, 5), grids(1), (8, 8)), r"scores \(2, 3, 4, 5\) and locations \(1"),
        (lambda: interpolate_back(random(1, 3, 4, 5), grids(1) / 2, (8, 8)), "in no cell.*see `unfolded`"),
        (lambda: interpolate_back(random(1, 3, 4, 5), grids(1) * math.nan, (8, 8)), "not finite"),
        (lambda: interpolate_back(random(1, 3, 4, 5), grids(1), (1, 8)), r"size=\(1, 8\)"),
    ],
)
def test_errors_name_the_setting(call, message):
    with pytest.raises(ValueError, match=message):
        call()
