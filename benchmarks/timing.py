"""How long a call takes."""

import time
from collections.abc import Callable
from statistics import median

import torch


def finish(run: Callable[[], object]) -> None:
    """Call `run`, and wait until a GPU has done what the call gave it."""
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """The median over `repeats` calls, after one to warm up."""
    finish(run)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        finish(run)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)
