"""The mean grid of the training labels, at which a run with downsampling.locations = mean samples every frame."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from dsrl_lib.config import Downsampling
from dsrl_lib.data.once import array_once
from dsrl_lib.data.split import Split
from dsrl_lib.models.downsampling.from_labels import mean_locations
from dsrl_lib.paths import cache_dir
from dsrl_lib.progress import bar


def mean_grid(split: Split, settings: Downsampling) -> Tensor:
    """`mean_locations` of the labels of a split, (n, m, 2); kept in the cache, named by their hash and the settings."""

    def solve() -> np.ndarray:
        labels = bar(split.labels, "solve mean grid", len(split), leave=False)
        return mean_locations(labels, settings).numpy()

    used = repr((settings.rows, settings.columns, settings.lam, settings.classes))
    name = f"{split.manifest_hash[:16]}-{hashlib.sha256(used.encode()).hexdigest()[:16]}-v1.npy"
    return torch.from_numpy(array_once(cache_dir() / "mean_grids" / name, solve))
