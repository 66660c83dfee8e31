"""Run a Python module in a process forked from the server of `warm`: `warm_client.py SOCKET MODULE [ARGUMENT ...]`.

It behaves as `python -m MODULE` does: streams, environment, working folder, signals and exit status are those of this
process. It imports little, because it starts for every step of the study.
"""

import _thread
import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main(path: str, *command: str) -> int:
    """Exit status of the module. Without a server the module runs here, only later."""
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(path)
    except OSError:
        os.execv(sys.executable, [sys.executable, "-m", *command])
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # `_pass_on` takes them, also earlier ones
    request = json.dumps({"command": command, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    _thread.start_new_thread(_pass_on, (server,))
    status = server.recv(1)
    if not status:
        print("error: the server of warm processes has ended", file=sys.stderr)
        return 1
    return status[0]


def _pass_on(server: socket.socket) -> None:
    """Signals to the server. A handler would miss one that comes just before `recv` blocks, until the next one."""
    while True:
        number = signal.sigwait(PASSED_ON)
        try:
            server.send(bytes([number]))
        except OSError:  # it has ended, which `main` says
            return


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
