"""Training and evaluation mode, which each module of a network has for itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Afterwards each module is in the mode that it has now: `train` would give all of them one."""
    before = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode
