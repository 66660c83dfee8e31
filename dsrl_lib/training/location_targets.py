"""Training samples with the locations that their labels give: for the network to predict, or to sample at."""

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from dsrl_lib.config import Config, Downsampling
from dsrl_lib.models.downsampling.downsampler import GIVEN
from dsrl_lib.models.downsampling.from_labels import label_locations

STREAM = 2
"""Keeps these random numbers apart from those of the crops."""


def wants_locations(settings: Downsampling) -> bool:
    """Whether a training step needs locations from labels."""
    return settings.locations in GIVEN or settings.stage == "locations"


class WithLocations(Dataset):
    """The samples of a `TrainingSet`, each with `locations` (n, m, 2) by the labels of its crop."""

    def __init__(self, samples: Dataset, config: Config) -> None:
        self.samples, self.config = samples, config

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        sample = self.samples[key]
        rng = np.random.default_rng([self.config.seed, *key, STREAM, 1])
        return sample | {"locations": label_locations(sample["labels"], self.config.downsampling, rng)}
