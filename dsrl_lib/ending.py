"""How a command line of any package ends: its exit status, and one line about what went wrong."""

import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TextIO


def finish(command: Callable[[], object]) -> int:
    """Run a command line.

    Exit status: the number that it returns, else 0 done, 1 an error that a message explains, 2 a wrong option, 130
    stopped, 141 stopped since nobody reads what it prints, 143 ended by SIGTERM. What it had begun is deleted.
    """
    _open_closed_streams()
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # without the line of code
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a letter that a terminal lacks loses no result
    done = False
    try:
        with handled([signal.SIGTERM], _exit_by):
            status = command()
        done = True
        print(end="", flush=True)  # here, where it is known what to do if nobody reads
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            _discard(stream)
        if not done:
            return 128 + signal.SIGPIPE
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        _drop_unwritten()
        return 1
    except ModuleNotFoundError as error:  # of an optional group
        print(f"error: {error}; for all commands of a checkout: pip install -e '.[study]'", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"error: not enough memory {error}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


@contextmanager
def handled(numbers: Sequence[int], act: Callable[[int], None]) -> Iterator[None]:
    """Call `act` with the number of each of these signals that arrives.

    Only the main thread can take them; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda number, _: act(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_by(number: int) -> NoReturn:
    """End the process by SystemExit, with the status of a signal: what was begun is deleted on the way."""
    sys.exit(128 + number)


def _open_closed_streams() -> None:
    """A stream that is closed, as by 2>&-, is None in Python, and its number goes to the next file. It leads nowhere
    instead."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - until the process ends


def _drop_unwritten() -> None:
    """What stdout still holds and cannot write, as on a full disk."""
    try:
        print(end="", flush=True)
    except OSError:
        _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    """Send what the stream still holds nowhere: Python would fail with it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
