"""What a network could reach at best with samples at given places: true labels, sampled and brought back."""

from collections.abc import Mapping, Sequence
from functools import cache, partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib import metrics
from dsrl_lib.config import Downsampling
from dsrl_lib.models.downsampling.from_labels import solved_locations
from dsrl_lib.models.downsampling.inverse import interpolate_back
from dsrl_lib.models.downsampling.locations import uniform_locations
from dsrl_lib.models.downsampling.sampler import sample

Size = tuple[int, int]


def sampled_label_table(
    labels: Sequence[np.ndarray], classes: int, sizes: Sequence[Size], grids: Mapping[str, Size | None]
) -> pd.DataFrame:
    """mIoU in percent, one row per number of samples (h, w) and one column per grid of `grids`, after "uniform".

    labels: (H, W) each, 255 is void. grids: by name, the size of the grid on which locations are solved from these very
    labels, and which is then resized to the samples; None: that of the samples. The shares of the classes are sampled
    with footprints, interpolated back, and the largest one is the prediction. So this bounds what locations alone can
    give a network that sees anti-aliased samples; it says nothing about images.
    """
    found = {size: {name: np.zeros((classes, 3), np.int64) for name in ("uniform", *grids)} for size in sizes}
    for label in map(np.asarray, labels):
        ids = torch.from_numpy(np.where(label == metrics.VOID, classes, label).astype(np.int64))
        shares = F.one_hot(ids, classes + 1)[..., :classes].permute(2, 0, 1)[None].float()  # (1, K, H, W)
        solved = cache(partial(_solved, label))
        for size, counts in found.items():
            for name in counts:
                locations = (uniform_locations(size) if name == "uniform" else solved(grids[name] or size))[None]
                scores = interpolate_back(sample(shares, locations, size), locations, label.shape)  # (1, K, H, W)
                counts[name] += metrics.counts(scores.argmax(1)[0].numpy(), label, classes)
    rows = {
        "x".join(map(str, size)): {name: 100 * metrics.miou(sums[None]) for name, sums in counts.items()}
        for size, counts in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("samples")


def _solved(label: np.ndarray, grid: Size) -> Tensor:
    return solved_locations(label, Downsampling("oracle", *grid))  # (n, m, 2)
