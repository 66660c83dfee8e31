"""The batches of a run: which samples in which order, and what their outputs are compared with."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dsrl_lib import distributed
from dsrl_lib.config import Config, Loss
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import reduce_labels
from dsrl_lib.losses.criterion import Targets, strict_classes
from dsrl_lib.losses.relaxation_controls import moved_borders
from dsrl_lib.training.location_targets import WithLocations, wants_locations
from dsrl_lib.training.signals import ignore_in_worker

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


def batches(
    split: Split, config: Config, steps: Sequence[int], epochs_before: int, device: torch.device, workers: int
) -> Iterator[dict[str, Tensor]]:
    """This process's part of the batch of each step, on the CPU: `input`, `hr`, `labels` (see `TrainingSet`).

    `noise`, (B, 3, H, W), is added if the SISR target is noise, `sets`, (B, H, W), if borders are moved, and
    `locations`, (B, n, m, 2), if a step needs them.
    """

    def keys() -> Iterator[Keys]:
        """Of this process's samples, drawn when their step comes: a long run has millions of them."""
        every = (batch_keys(config, step, len(split), epochs_before) for step in steps)
        return (batch[distributed.rank() :: distributed.size()] for batch in every)

    dataset = TrainingSet(split, config.data, config.seed, config.frame_scale)
    samples: Dataset = dataset
    if wants_locations(config.downsampling):
        samples = WithLocations(samples, config)
    if config.loss.relax_control == "moved":
        samples = WithMovedSets(samples, dataset, config.loss)
    loader = DataLoader(
        samples,
        batch_sampler=keys(),
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=ignore_in_worker,
    )
    for drawn, batch in zip(keys(), loader, strict=True):
        if config.loss.sisr_target == "noise":
            frames = [dataset.draw(key).frame for key in drawn]
            batch["noise"] = torch.stack([noise_image(frame, batch["hr"].shape[1:]) for frame in frames])
        yield batch


def batch_targets(batch: dict[str, Tensor], config: Config, class_weights: Tensor | None = None) -> Targets:
    """What the outputs for a batch are compared with, by the settings of `config.loss`."""
    labels = batch["labels"]  # (B, H, W)
    if config.loss.train_labels == "lr":
        labels = reduce_labels(labels, tuple(batch["input"].shape[2:]))  # (B, h, w)
    image = None
    if config.model.sisr:
        image = batch["noise"] if "noise" in batch else normalise(batch["hr"])  # (B, 3, H, W)
    return Targets(labels, image, class_weights, batch.get("sets"), batch.get("locations"))


class WithMovedSets(Dataset):
    """Samples, each with `sets` (H, W): what its labels allow if borders are moved."""

    def __init__(self, samples: Dataset, dataset: TrainingSet, loss: Loss) -> None:
        self.samples, self.dataset, self.loss = samples, dataset, loss

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        return self.samples[key] | {"sets": moved_sets(self.dataset, key, self.loss)}


def moved_sets(dataset: TrainingSet, key: tuple[int, int], loss: Loss) -> Tensor:
    """What the labels of a sample allow if borders lie where two other frames have theirs, (H, W) bits.

    It depends on the data, (seed, epoch, index) and the settings loss.relax_* alone.
    """
    epoch, index = key
    # The fourth word keeps this stream apart from that of the crop: [seed, epoch, index].
    rng = np.random.default_rng([dataset.seed, epoch, index, 2])
    far = rng.choice(len(dataset) - 1, min(2, len(dataset) - 1), replace=False)
    label, *others = (dataset.labels((epoch, (index + shift) % len(dataset))) for shift in (0, *(1 + far).tolist()))
    classes = len(class_table(dataset.data.dataset).classes)
    return moved_borders(
        label,
        others,
        classes,
        rng,
        border=loss.relax_border,
        strict=strict_classes(loss, classes),
        void_joins=loss.relax_void_joins,
    )


def noise_image(index: int, shape: tuple[int, ...]) -> Tensor:
    """The fixed noise image of one sample, unit variance, whatever the seed of the run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(index))  # (3, H, W)
