"""The random state of PyTorch in training: layers such as dropout are all that draws from it."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from dsrl_lib import distributed


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """What is drawn inside depends on the seed alone. The state outside stays as it is."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def step_seed(seed: int, step: int) -> int:
    """A seed for one step of a run, of each process its own, so that dropout needs no state in a checkpoint.

    step: counted over all stages behind the weights, so that arms of one seed that make the same step drop the same.
    """
    return int(np.random.SeedSequence([seed, step, distributed.rank()]).generate_state(1)[0])
