"""Ctrl-C and SIGTERM for a whole study: no other step begins, and those that run end, training with a checkpoint."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import psutil

received: list[int] = []
"""The numbers of the SIGINT and SIGTERM that the study of this process has received."""


@contextmanager
def noticed() -> Iterator[list[int]]:
    """Gives `received`. The study has to begin inside.

    On its own, Snakemake (9.20) takes SIGTERM as a wish to begin nothing more: it waits for all running steps without a
    word, which can take hours. Here SIGTERM ends it as Ctrl-C does. Ctrl-C in a terminal reaches the steps by itself.
    """
    from snakemake.scheduling.job_scheduler import JobScheduler

    received.clear()

    def stop(number: int, frame: FrameType | None) -> None:
        if not received:
            print("stopping: training writes a checkpoint", file=sys.stderr, flush=True)
        received.append(number)
        if number == signal.SIGTERM:
            _end_steps()
        raise KeyboardInterrupt

    def exit_gracefully(scheduler: Any, number: int, frame: FrameType | None) -> None:
        stop(number, frame)

    theirs, before = JobScheduler.exit_gracefully, signal.signal(signal.SIGINT, stop)
    JobScheduler.exit_gracefully = exit_gracefully  # the handler that it gives to SIGTERM
    try:
        with suppress(KeyboardInterrupt):  # where Snakemake does not take it
            yield received
    finally:
        JobScheduler.exit_gracefully = theirs
        signal.signal(signal.SIGINT, before)


def _end_steps() -> None:
    """SIGTERM to the steps of this process: to the last process of each, which the shell before it waits for.

    The server of warm processes and the kernels are in sessions of their own. Whoever uses them passes the signal on.
    """
    own = os.getsid(0)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == own and not process.children():
                process.terminate()
