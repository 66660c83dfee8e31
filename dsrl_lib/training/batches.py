"""The batches of a run: which samples in which order."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dsrl_lib import distributed
from dsrl_lib.config import Config
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.split import Split
from dsrl_lib.training.signals import ignore_in_worker
from dsrl_lib.training.targets import WithTargets

Keys = list[tuple[int, int]]
"""(epoch, index of the image) of each sample of a batch."""


@lru_cache(2)  # each batch of an epoch asks for it
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


def epoch_steps(config: Config, split: Split) -> int:
    """Steps of an epoch on the training split. ValueError if its images do not fill one batch."""
    if (steps := len(split) // config.optim.batch_size) == 0:
        raise ValueError(
            f"optim.batch_size = {config.optim.batch_size}, but {config.data.dataset} train has only "
            f"{len(split)} images"
        )
    return steps


def training_set(split: Split, config: Config) -> TrainingSet:
    """The samples of a run. ValueError if the settings of class-uniform sampling do not fit the frames."""
    return TrainingSet(split, config.data, config.seed, config.frame_scale)


def batches(
    samples: TrainingSet, config: Config, steps: Sequence[int], epochs_before: int, device: torch.device, workers: int
) -> Iterator[dict[str, Tensor]]:
    """This process's part of the batch of each step, on the CPU: `input`, `hr` and `labels`, as in `TrainingSet`, and
    what `WithTargets` adds."""

    def keys() -> Iterator[Keys]:
        """Of this process's samples, drawn when their step comes: a long run has millions of them."""
        every = (batch_keys(config, step, len(samples), epochs_before) for step in steps)
        return (batch[distributed.rank() :: distributed.size()] for batch in every)

    yield from DataLoader(
        WithTargets(samples, config),
        batch_sampler=keys(),
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=ignore_in_worker,
    )
