"""The optimiser and how its learning rate runs: one schedule over all stages of the method."""

import math

import torch
from torch import nn

from dsrl_lib.config import Config
from study.presets import parent_of


def learning_rate(config: Config, step: int, epoch_steps: int) -> float:
    """The learning rate at a step of a run, over the whole schedule: a stage goes on where the one before it ended.

    ValueError for a schedule that ends before the run does.
    """
    before = epochs_before(config)
    epochs = config.optim.schedule_epochs or before + config.optim.epochs
    if epochs < before + config.optim.epochs:
        raise ValueError(
            f"optim.schedule_epochs = {epochs}, but arm {config.arm!r} ends after {before + config.optim.epochs} epochs"
        )
    done = (before * epoch_steps + step) / (epochs * epoch_steps)
    return config.optim.lr * decay(done, config)


def decay(done: float, config: Config) -> float:
    """The factor of lr when the share `done` of the schedule, in [0, 1), is behind."""
    if config.optim.schedule == "poly":
        return (1 - done) ** config.optim.power
    if config.optim.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 0.1 ** int(3 * done)


def epochs_before(config: Config) -> int:
    """Epochs of training behind the weights that a run starts from."""
    parent = parent_of(config)
    return 0 if parent is None else parent.optim.epochs + epochs_before(parent)


def make_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Every trainable parameter in exactly one of two groups: kernels decay; biases, norms and slopes do not."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.optim.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optim.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.optim.lr, fused=True)
    return torch.optim.SGD(groups, lr=config.optim.lr, momentum=config.optim.momentum)
