"""A request to stop, as a scheduler sends it before it ends a job: work goes on to the next checkpoint, then ends."""

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StoppedError(RuntimeError):
    """A run was asked to stop and has written a checkpoint."""


@contextmanager
def requests() -> Iterator[Callable[[], bool]]:
    """Notes SIGTERM and SIGUSR1 instead of dying of them; gives a function that says whether one has come."""
    came: list[int] = []
    with _handled(came.append):
        yield lambda: bool(came)


@contextmanager
def passed_on(child: subprocess.Popen) -> Iterator[None]:
    """Passes SIGTERM and SIGUSR1 on to a child process, as SIGTERM."""
    with _handled(lambda _: child.terminate()):
        yield


@contextmanager
def _handled(act: Callable[[int], None]) -> Iterator[None]:
    """Only the main thread can take signals; elsewhere this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda number, _: act(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
