"""Pictures of training samples, as a run sees them: crop, scale, flip, colours and whatever else its settings say."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.allowed import at_least, check
from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table, colourise
from dsrl_lib.data.made_pictures import is_made, write_picture
from dsrl_lib.data.split import load_split
from dsrl_lib.paths import DataError, check_folder
from dsrl_lib.training.batches import batches, epoch_steps, training_set
from dsrl_lib.training.workers import explained

COMMAND = "samples"
"""By which a later call knows the files that it wrote (`made_pictures`)."""
GAP = 4
"""White pixels between the pictures of a sample."""


def write_samples(config: Config, out: Path, count: int = 8, epoch: int = 0) -> list[Path]:
    """The first `count` training samples of an epoch, in their order, as PNG files: input, HR image and labels.

    Those of an earlier call for this epoch are replaced or removed; DataError for a file of yours in their place.

    epoch: from 0, counted from the first of the runs that this one starts from. The input is enlarged to HR without
    interpolation; void is black. ValueError for settings that are not allowed, DataError for missing or bad data,
    RuntimeError where memory does not suffice.
    """
    config = config.checked()
    check("count", count, Annotated[int, at_least(1)])
    check("epoch", epoch, Annotated[int, at_least(0)])
    check_folder(out, "out")
    for path in out.glob(f"epoch{epoch}_*.png"):
        digits = path.stem.partition("_")[2]
        meant = digits.isdecimal() and int(digits) < count and path == _path(out, epoch, int(digits))
        if meant and not is_made(path, COMMAND):
            raise DataError(f"{path} is a file that no earlier call wrote: choose another folder for the pictures")
    written = []
    with explained():
        for number, sample in enumerate(islice(_samples(config, epoch), count)):  # an epoch may have fewer
            path = _path(out, epoch, number)
            write_picture(path, sample_picture(sample, config), COMMAND)
            written.append(path)
    for path in out.glob(f"epoch{epoch}_*.png"):  # of an earlier call with more samples, perhaps of other settings
        if path not in written and is_made(path, COMMAND):
            path.unlink()
    return written


def _path(out: Path, epoch: int, number: int) -> Path:
    return out / f"epoch{epoch}_{number:04}.png"


def sample_picture(sample: dict[str, Tensor], config: Config) -> np.ndarray:
    """Input, HR image and labels side by side: uint8 (H, 3 W + 2 GAP, 3). sample: as of `TrainingSet`."""
    hr, labels = sample["hr"], sample["labels"].numpy()  # (3, H, W), (H, W)
    enlarged = F.interpolate(sample["input"][None], hr.shape[1:], mode="nearest-exact")[0]  # (3, H, W)
    images = (enlarged.permute(1, 2, 0).numpy(), hr.permute(1, 2, 0).numpy())
    gap = np.full((hr.shape[1], GAP, 3), 255, np.uint8)
    return np.concatenate([images[0], gap, images[1], gap, colourise(labels, class_table(config.data.dataset))], axis=1)


def _samples(config: Config, epoch: int) -> Iterator[dict[str, Tensor]]:
    split = load_split(config.data.dataset, "train")
    steps = epoch_steps(config, split)
    mine = range(epoch * steps, (epoch + 1) * steps)
    for batch in batches(training_set(split, config), config, mine, 0, torch.device("cpu"), workers=0):
        for index in range(len(batch["hr"])):
            yield {name: values[index] for name, values in batch.items()}
