"""Work over all frames of a data set: done once, by one process with all cores, and then read from the cache."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock

from dsrl_lib.progress import bar
from dsrl_lib.records import write_atomically

T = TypeVar("T")
MOST = 8
"""Threads: more would only wait for the disk."""


def in_threads(work: Callable[[int], T], count: int, description: str) -> Iterator[T]:
    """work(0), work(1), ... in this order, with a progress bar.

    Pillow and most of NumPy let other threads run while they work.
    """
    cores = len(os.sched_getaffinity(0))  # those of this process: a job has few of a node's
    with ThreadPoolExecutor(min(MOST, cores)) as pool:
        try:
            yield from bar(pool.map(work, range(count)), description, count, leave=False)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def once(path: Path, read: Callable[[], T], make: Callable[[], T], write: Callable[[T], object]) -> T:
    """What a file of the cache remembers, or what `make` returns, which is then written. Other processes wait for it.

    path: the file, for its lock. Its name has to change with the contents of the frames, with the settings, and with
    the way in which the result is made. read: raises an error where nothing is known, or the file is damaged. Where
    nothing can be written, each process makes its own: the cache only saves time.
    """
    unknown = suppress(OSError, ValueError, LookupError, TypeError, EOFError)
    with unknown:
        return read()
    with ExitStack() as stack:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{path}.lock"))
        with unknown:  # another process made it while this one waited
            return read()
        made = make()
        with suppress(OSError):
            write(made)
        return made


def array_once(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """`once` for an array in a file that ends in .npy."""

    def write(array: np.ndarray) -> None:
        def save(temporary: Path) -> None:
            with open(temporary, "wb") as file:  # to a path, np.save would add its suffix
                np.save(file, array)

        write_atomically(path, save)

    def read() -> np.ndarray:
        with open(path, "rb") as file:  # np.load would take other formats too
            return np.lib.format.read_array(file)

    return once(path, read, make, write)
