"""The optimiser, and how learning rate and loss change: one schedule over all stages of the method."""

import math
from dataclasses import replace

import torch
from torch import nn

from dsrl_lib import runs
from dsrl_lib.config import Config, Loss


def epochs_before(config: Config) -> int:
    """Epochs of training behind the host's weights that a run starts from, by the records of the runs before it.

    A run that trained the auxiliary network of adaptive downsampling alone left the host as it was. ValueError if one
    of these may have ended early: the schedule has no place for what follows.
    """
    before = runs.chain(config)[:-1]
    for stage in before:
        if stage.optim.patience:
            raise ValueError(
                f"optim.patience = {stage.optim.patience} of {stage.run_id}, from which {config.run_id} starts: it may "
                "have ended before its schedule; allowed: 0 there, or a start from its weights alone (train --start)"
            )
    return sum(stage.host_epochs for stage in before)


def learning_rate(config: Config, step: int, epoch_steps: int, epochs_before: int) -> float:
    """The learning rate at a step of a run, over the whole schedule: a stage continues where the one before it ended.

    step: counted from the start of this run. epochs_before: epochs of training behind the weights that it starts from.
    ValueError for a schedule that ends before the run does.
    """
    epochs = schedule_epochs(config, epochs_before)
    done = (epochs_before * epoch_steps + step) / (epochs * epoch_steps)
    lr, end = config.optim.lr, config.optim.lr_end
    return end + (lr - end) * decay(done, config, config.loss.relax_epochs / epochs)


def schedule_epochs(config: Config, epochs_before: int) -> int:
    """Epochs of the whole schedule of a run, with those of the runs before it. ValueError if it ends before the run."""
    end = epochs_before + config.optim.epochs
    epochs = config.optim.schedule_epochs or end
    if epochs < end:
        raise ValueError(f"optim.schedule_epochs = {epochs}, but arm {config.arm!r} ends after {end} epochs")
    return epochs


def decay(done: float, config: Config, restart: float = 0.0) -> float:
    """The factor of lr (of lr - lr_end) when the share `done` of the schedule, in [0, 1), is behind.

    restart: the share after which the schedule "poly_restart" begins anew (Zhu et al. 2019, released code).
    """
    # DEVIATION: in the arms of label relaxation the learning rate keeps its one schedule. The released code (Zhu et
    # al.) can raise it again at the switch-off epoch; optim.schedule=poly_restart does so too.
    if config.optim.schedule == "poly_restart" and done >= restart:
        return config.optim.restart_factor * (1 - (done - restart) / (1 - restart)) ** config.optim.restart_power
    if config.optim.schedule in ("poly", "poly_restart"):
        return (1 - done) ** config.optim.power
    if config.optim.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 0.1 ** int(3 * done)


def loss_in_epoch(loss: Loss, epoch: int) -> Loss:
    """The settings of the loss that hold in an epoch, counted from 0 over all stages: relaxed labels may end."""
    ended = loss.segmentation == "relaxed" and 0 < loss.relax_epochs <= epoch
    return replace(loss, segmentation="boundary") if ended else loss


def make_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Every trainable parameter in exactly one of two groups: kernels decay; biases, norms and slopes do not."""
    # DEVIATION: biases, batch norms and slopes are not decayed. The paper does not say; sanje2v's code decays them.
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.optim.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optim = config.optim
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum, nesterov=optim.nesterov)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[optim.optimizer]
    return kind(groups, lr=optim.lr, amsgrad=optim.amsgrad, fused=True)
