"""A server that imports the libraries once and forks a process for each step of the study.

PyTorch, pandas and matplotlib take longer to import than most notebooks take to run. While a server runs,
`python_m` gives a command that forks the process instead of starting it (see `warm_client`). The server ends with the
process that started it; the processes that it forked end with their clients.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

VARIABLE = "DSRL_WARM"
"""Environment variable: the socket of the running server."""
LONGEST = 70
"""Letters of a temporary folder: with its name in it, that of a socket has at most 107."""
CLIENT = Path(__file__).with_name("warm_client.py")
PRELOADED = (
    "dsrl_lib",
    "study",
    "papermill",
    "tabulate",
    "matplotlib.backends.backend_agg",
    # What a step of training imports on its way:
    "dsrl_lib.models.cpu_kernels",
    "torch._dynamo",
    "torch.utils.tensorboard",
)
"""Imported with all their public names. Not ipykernel: it looks for its parent when it is imported."""


def python_m() -> list[str]:
    """What a command that runs a module begins with: `python -m`, or the client where a server runs."""
    path = os.environ.get(VARIABLE)
    return [sys.executable, "-I", "-S", str(CLIENT), path] if path else [sys.executable, "-m"]


def possible() -> bool:
    """Whether this system can wait for a process by a descriptor, as `_guard` does: Linux 5.3, and no sandbox."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


@contextmanager
def server(preloaded: Sequence[str] = PRELOADED) -> Iterator[None]:
    """A server for the processes that are started meanwhile, with one thread for each of them."""
    usual = tempfile.gettempdir()
    short = usual if len(usual) <= LONGEST else "/tmp"
    with tempfile.TemporaryDirectory(dir=short) as folder, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(folder, "socket"))
        listener.bind(path)
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, "-m", "study.execution.warm", str(listener.fileno()), *preloaded],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C is for the clients, which pass it on
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        listener.close()  # without a server, connecting fails at once
        os.environ[VARIABLE] = path
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            process.terminate()  # it may still import, which can take a minute; what it forked goes on
            process.communicate()


def main(listener: socket.socket, preloaded: Sequence[str]) -> NoReturn:
    """Serve until stdin is closed; in a forked process, run the module that was asked for."""
    # Read when matplotlib is imported; ipykernel would set it too late.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    for module in map(importlib.import_module, preloaded):
        for name in getattr(module, "__all__", ()):
            getattr(module, name)
    if pandas := sys.modules.get("pandas"):  # it fits tables to the terminal, unless a notebook is what imports it
        pandas.set_option("display.max_columns", 20)
    gc.collect()
    gc.freeze()  # the forked processes do not look through the libraries for garbage, which would copy their memory
    request = _next_request(listener)
    if request is None:
        os._exit(0)
    _become(*request)


def _next_request(listener: socket.socket) -> tuple[dict, list[int]] | None:
    """Returns in each forked process with its request and streams, in the server None at the end."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        client, _ = listener.accept()
        if os.fork() == 0:  # the guard of one process
            listener.close()
            request, streams = _received(client)
            process = os.fork()
            if process == 0:
                client.close()
                return request, streams
            for stream in streams:
                os.close(stream)
            os._exit(_guard(process, client))
        client.close()
        _reap()


def _received(client: socket.socket) -> tuple[dict, list[int]]:
    size, streams, _, _ = socket.recv_fds(client, 4, 3)
    request = client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)  # no more: a signal may stand behind it
    return json.loads(request), streams


def _guard(process: int, client: socket.socket) -> int:
    """Pass signals to the process and its exit status to the client; end it if the client has ended."""
    ended = os.pidfd_open(process)
    while True:
        ready, _, _ = select.select([client.fileno(), ended], [], [])
        if ended in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            client.send(bytes([code if code >= 0 else 128 - code]))
            return 0
        number = client.recv(1)
        if number:
            os.kill(process, number[0])
        else:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return 0


def _become(request: dict, streams: list[int]) -> NoReturn:
    """Run the module as `python -m` does and end the process."""
    os.setsid()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    if "JPY_PARENT_PID" in os.environ:  # a kernel ends when this is no longer its parent
        os.environ["JPY_PARENT_PID"] = str(os.getppid())
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]  # it was the folder of the server
    module, *arguments = request["command"]
    sys.argv = [module, *arguments]
    status = 1
    try:
        status = _status_of(module)
        # This line and the next do what an interpreter does first when it ends.
        threading._shutdown()  # type: ignore[attr-defined]  # private
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):  # nobody may read any more
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        # It would go on to free every object of the libraries, which takes two seconds.
        os._exit(status)


_kept: list[dict[str, object]] = []


def _status_of(module: str) -> int:
    """Run the module; its exit status. What it failed of is printed."""
    try:
        # Kept: a process group that is freed can wait for ever for its own threads.
        _kept.append(runpy.run_module(module, run_name="__main__", alter_sys=True))
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _reap() -> None:
    """Forget the guards that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
