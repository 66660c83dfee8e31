"""A request to stop, from a scheduler or a keyboard: the run ends its step and writes a checkpoint."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dsrl_lib.ending import handled

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StoppedError(RuntimeError):
    """A run was asked to stop and has written a checkpoint."""


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Notes SIGTERM, SIGUSR1 and SIGINT instead of dying of them; gives a function that says whether one has come.

    A second SIGINT is the usual KeyboardInterrupt.
    """
    came: list[int] = []

    def note(number: int) -> None:
        if number == signal.SIGINT and number in came:
            raise KeyboardInterrupt
        came.append(number)

    with handled(SIGNALS, note):
        yield lambda: bool(came)


def ignore_in_worker(worker: int) -> None:
    """For a process that loads samples: the one that it works for decides when to stop."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def passed_on(child: subprocess.Popen) -> Iterator[None]:
    """Passes SIGTERM, SIGUSR1 and SIGINT on to a child process, as SIGTERM."""
    with handled(SIGNALS, lambda _: child.terminate()):
        yield


@contextmanager
def passed_on_to_children() -> Iterator[Callable[[], bool]]:
    """Passes SIGTERM, SIGUSR1 and SIGINT on to all child processes, as SIGTERM; gives a function that says whether one
    has come."""
    came: list[int] = []

    def pass_on(number: int) -> None:
        came.append(number)
        for child in _children():
            with suppress(ProcessLookupError):  # another thread may have waited for its end meanwhile
                os.kill(child, signal.SIGTERM)

    with handled(SIGNALS, pass_on):
        yield lambda: bool(came)


def _children() -> list[int]:
    listed = Path("/proc/self/task").glob("*/children")  # a process belongs to the thread that started it
    return [int(child) for path in listed for child in path.read_text().split()]
