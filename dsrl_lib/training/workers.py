"""Processes that load samples: whether there is room for what they hand over, and their errors in plain words."""

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
AHEAD = 2
"""Batches that one process has ready (DataLoader's prefetch_factor)."""
REMEDY = "give fewer --workers (0: none), or a larger /dev/shm (docker run --shm-size=2g)"
LESS = "a smaller optim.batch_size, data.crop_height or data.crop_width needs less"


def check_workers(config: Config, workers: int) -> None:
    """ValueError if /dev/shm has no room for the batches that such processes have ready, and the one in use."""
    if workers and SHARED.is_dir():
        data, scale = config.data, config.frame_scale
        pixels = data.crop_height * data.crop_width
        sets = 8 if config.loss.relax_control == "moved" else 0
        batch = round(config.optim.batch_size * pixels * (4 + 3 * scale**2 + sets))  # image, labels and input, in bytes
        needed, free = workers * (QUEUES + AHEAD * batch) + batch, shutil.disk_usage(SHARED).free
        if free < needed:
            raise ValueError(
                f"workers = {workers}: batches of {batch / 1e6:.1f} MB go through {SHARED}, where "
                f"{needed / 1e6:.1f} MB are needed and {free / 1e6:.1f} MB are free; {REMEDY}"
            )


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
