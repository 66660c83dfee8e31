"""What a sample's outputs are compared with: its image and labels, and what some settings add to them."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dsrl_lib.config import Config, Downsampling, Loss
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.transforms import reduce_labels
from dsrl_lib.losses.criterion import Targets, strict_classes
from dsrl_lib.losses.relaxation_controls import moved_borders
from dsrl_lib.models.downsampling.downsampler import GIVEN
from dsrl_lib.models.downsampling.from_labels import label_locations

STREAM = 2
"""The fourth word of these seeds: it keeps their random numbers apart from those of the crop, [seed, epoch, index]."""


class WithTargets(Dataset):
    """The samples of a `TrainingSet` with what else the run of `config` needs.

    `locations`, (n, m, 2), by the labels of the crop, if a training step needs them; `sets`, (H, W), what the labels
    allow if borders are moved; `noise`, (3, H, W), if that is the target of SISR.
    """

    def __init__(self, samples: TrainingSet, config: Config) -> None:
        self.samples, self.config = samples, config

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        sample, config = self.samples[key], self.config
        if wants_locations(config.downsampling):
            rng = np.random.default_rng([config.seed, *key, STREAM, 1])
            sample["locations"] = label_locations(sample["labels"], config.downsampling, rng)
        if config.loss.relax_control == "moved":
            sample["sets"] = moved_sets(self.samples, key, config.loss)
        if config.loss.sisr_target == "noise":
            sample["noise"] = noise_image(self.samples.draw(key).frame, tuple(sample["hr"].shape))
        return sample


def batch_targets(batch: dict[str, Tensor], config: Config, class_weights: Tensor | None = None) -> Targets:
    """What the outputs for a batch are compared with, by the settings of `config.loss`."""
    labels = batch["labels"]  # (B, H, W)
    if config.loss.train_labels == "lr":
        labels = reduce_labels(labels, tuple(batch["input"].shape[2:]))  # (B, h, w)
    image = None
    if config.model.sisr:
        image = batch["noise"] if "noise" in batch else normalise(batch["hr"])  # (B, 3, H, W)
    return Targets(labels, image, class_weights, batch.get("sets"), batch.get("locations"))


def wants_locations(settings: Downsampling) -> bool:
    """Whether a training step needs locations from labels."""
    return settings.locations in GIVEN or settings.stage == "locations"


def moved_sets(samples: TrainingSet, key: tuple[int, int], loss: Loss) -> Tensor:
    """What the labels of a sample allow if borders lie where two other frames have theirs, (H, W) bits.

    It depends on the data, (seed, epoch, index) and the settings loss.relax_* alone.
    """
    epoch, index = key
    rng = np.random.default_rng([samples.seed, epoch, index, STREAM])
    far = rng.choice(len(samples) - 1, min(2, len(samples) - 1), replace=False)
    label, *others = (samples.labels((epoch, (index + shift) % len(samples))) for shift in (0, *(1 + far).tolist()))
    classes = len(class_table(samples.data.dataset).classes)
    return moved_borders(
        label,
        others,
        classes,
        rng,
        border=loss.relax_border,
        strict=strict_classes(loss, classes),
        void_joins=loss.relax_void_joins,
    )


def noise_image(frame: int, shape: tuple[int, ...]) -> Tensor:
    """The fixed noise image of one frame, unit variance, whatever the seed of the run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(frame))  # (3, H, W)
