"""The loss of a network on a batch, term by term."""

from collections.abc import Callable

import torch
from torch import Tensor

from dsrl_lib.config import Config
from dsrl_lib.data.normalise import normalise
from dsrl_lib.device import autocast
from dsrl_lib.losses.criterion import criterion
from dsrl_lib.models.downsampling.downsampler import GIVEN
from dsrl_lib.training.targets import batch_targets


def loss_terms(
    model: Callable[..., dict[str, Tensor]],
    batch: dict[str, Tensor],
    config: Config,
    class_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """The network on a batch (see `batches`), and the weighted terms of its loss, by their keys in `TERMS`."""
    images = normalise(batch["input"]).contiguous(memory_format=torch.channels_last)  # (B, 3, h, w)
    given = [batch["locations"]] if config.downsampling.locations in GIVEN else []
    with autocast(images.device, config.optim.precision):
        outputs = model(images, *given)
    return criterion(outputs, batch_targets(batch, config, class_weights), config.loss)
