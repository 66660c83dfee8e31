"""Processes that load samples: how many, whether there is room for what they hand over, their errors in plain words."""

import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

import torch

from dsrl_lib.config import Config

SHARED = Path("/dev/shm")
"""Through this folder in memory, PyTorch hands tensors from one process to another."""
QUEUES = 2**20
"""Bytes for the queues of one process; too many rather than too few."""
MOST = 8
"""Processes by default: more would only take memory."""
AHEAD = 2
"""Batches that one process has ready (DataLoader's prefetch_factor)."""
REMEDY = "give fewer --workers (0: none), or a larger /dev/shm (docker run --shm-size=2g)"
LESS = "a smaller optim.batch_size, data.crop_height or data.crop_width needs less"


def default_workers(config: Config, device: torch.device, devices: int) -> int:
    """So many that a GPU seldom waits for samples, as far as cores and /dev/shm go; none on the CPU, which needs its
    cores for the steps. devices: that share the run, on this machine."""
    if device.type != "cuda":
        return 0
    most = min(MOST, len(os.sched_getaffinity(0)) // devices - 1)
    return next((workers for workers in range(most, 0, -1) if _needed(config, workers) <= _free()), 0)


def check_workers(config: Config, workers: int) -> None:
    """ValueError if /dev/shm has no room for the batches that such processes have ready, and the one in use."""
    if workers and (needed := _needed(config, workers)) > (free := _free()):
        raise ValueError(
            f"workers = {workers}: batches of {_batch(config) / 1e6:.1f} MB go through {SHARED}, where "
            f"{needed / 1e6:.1f} MB are needed and {free / 1e6:.1f} MB are free; {REMEDY}"
        )


def _batch(config: Config) -> int:
    """Bytes of a batch: image, labels and input, and what `WithTargets` adds."""
    data, loss = config.data, config.loss
    added = 8 * (loss.relax_control == "moved") + 3 * 4 * (loss.sisr_target == "noise")
    return round(config.optim.batch_size * data.crop_height * data.crop_width * (4 + 3 * config.frame_scale**2 + added))


def _needed(config: Config, workers: int) -> int:
    """Bytes in /dev/shm at most. Of several devices, each has so many processes, and its share of the batch."""
    return workers * (QUEUES + AHEAD * _batch(config)) + _batch(config)


def _free() -> float:
    return shutil.disk_usage(SHARED).free if SHARED.is_dir() else math.inf


@contextmanager
def explained() -> Iterator[None]:
    """An error of a process that loads samples comes out as it was raised there, without that process's traceback.

    RuntimeError, with what to do, if memory did not suffice, or if such a process was killed.
    """
    try:
        yield
    except Exception as error:
        kind, text = type(error), str(error)
        # DataLoader puts the traceback before the message, and the name of the exception between the two.
        before = rf"Caught {kind.__name__} in DataLoader worker .*\n(?:\w+\.)*{kind.__name__}: "
        own = text[found.end() :].rstrip() if (found := re.match(before, text, re.DOTALL)) else text
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in own:
            reason = (own.strip() or kind.__name__).splitlines()[-1]  # after a traceback, if there is one
            raise RuntimeError(f"not enough memory ({shorten(reason, 200)}); {LESS}") from error
        if re.search(r"shared memory|^DataLoader worker", own):
            raise RuntimeError(f"a process that loads samples failed: {own.rstrip()}; {REMEDY}") from error
        if own != text:
            raise kind(own) from error
        raise
