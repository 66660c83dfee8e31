"""The optimiser and how its learning rate runs: polynomial cycles, one for each stage of the method."""

import torch
from torch import nn

from dsrl_lib.config import Config
from dsrl_lib.presets import parent_of


def cycle_progress(step: int, epoch_steps: int, config: Config) -> float:
    """How much of its cycle of the schedule is behind a step, in [0, 1); the last cycle may be shorter."""
    total = epoch_steps * config.optim.epochs
    cycle = epoch_steps * config.optim.cycle_epochs or total
    start = step - step % cycle
    return (step - start) / min(cycle, total - start)


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
