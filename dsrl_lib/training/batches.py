"""The batches of a run: which samples in which order, and what their outputs are compared with."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dsrl_lib import distributed
from dsrl_lib.config import Config
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import reduce_labels
from dsrl_lib.losses.criterion import Targets
from dsrl_lib.training.signals import ignore_in_worker

Keys = list[tuple[int, int]]
"""(epoch, index of the image) of each sample of a batch."""


def sample_order(seed: int, epoch: int, images: int) -> np.ndarray:
    """A fresh permutation of the training images for every epoch."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def batch_keys(config: Config, step: int, images: int, epochs_before: int) -> Keys:
    """The samples of one batch; the last, partial batch of an epoch is dropped.

    Epochs are counted from the first of the runs that this one starts from: no stage sees a sample again.
    """
    size = config.optim.batch_size
    epoch, position = divmod(step, images // size)
    epoch += epochs_before
    order = sample_order(config.seed, epoch, images)
    return [(epoch, int(index)) for index in order[position * size : (position + 1) * size]]


def batches(
    split: Split, config: Config, steps: Sequence[int], epochs_before: int, device: torch.device, workers: int
) -> Iterator[dict[str, Tensor]]:
    """This process's part of the batch of each step, on the CPU: `input`, `hr`, `labels` (see `TrainingSet`).

    `noise`, (B, 3, H, W), is added if the SISR target is noise.
    """
    every = (batch_keys(config, step, len(split), epochs_before) for step in steps)
    keys = [batch[distributed.rank() :: distributed.size()] for batch in every]
    loader = DataLoader(
        TrainingSet(split, config.data, config.seed, config.model.input_scale),
        batch_sampler=keys,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=ignore_in_worker,
    )
    for samples, batch in zip(keys, loader, strict=True):
        if config.loss.sisr_target == "noise":
            batch["noise"] = torch.stack([noise_image(index, batch["hr"].shape[1:]) for _, index in samples])
        yield batch


def batch_targets(batch: dict[str, Tensor], config: Config, class_weights: Tensor | None = None) -> Targets:
    """What the outputs for a batch are compared with, by the settings of `config.loss`."""
    labels = batch["labels"]  # (B, H, W)
    if config.loss.train_labels == "lr":
        labels = reduce_labels(labels, tuple(batch["input"].shape[2:]))  # (B, h, w)
    image = None
    if config.model.sisr:
        image = batch["noise"] if "noise" in batch else normalise(batch["hr"])  # (B, 3, H, W)
    return Targets(labels, image, class_weights)


def noise_image(index: int, shape: tuple[int, ...]) -> Tensor:
    """The fixed noise image of one sample, unit variance, whatever the seed of the run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(index))  # (3, H, W)
