"""Steps forked from a warm server behave as processes of their own do."""

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from dsrl_lib.paths import root
from study.execution import warm
from study.execution.notebooks import execute

FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
TABLE = "import pandas\npandas.DataFrame([[1.25] * 18], columns=[f'column {i}' for i in range(18)])"


@pytest.fixture(scope="module")
def server():
    """Without the deep-learning stack, which takes long to import."""
    with warm.server(("json", "pandas", "matplotlib.backends.backend_agg")):
        yield


@pytest.fixture
def run(server, tmp_path):
    """`run(code)`: this code as a module, in a process that the server forks."""

    def start(code: str) -> subprocess.Popen:
        (tmp_path / "asked_for.py").write_text(f"import os, signal, sys, time\n{code}")
        command = [*warm.python_m(), "asked_for"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return processes.enter_context(subprocess.Popen(command, cwd=tmp_path, text=True, **pipes))

    with ExitStack() as processes:
        yield start


def test_it_is_forked_with_the_streams_folder_and_environment_of_its_client(run, tmp_path, monkeypatch):
    monkeypatch.setenv("ASKED", "yes")
    code = "print(os.getcwd(), os.environ['ASKED'], 'matplotlib' in sys.modules); print('e', file=sys.stderr)"
    output, errors = run(code).communicate()
    assert output.splitlines()[0] == f"{tmp_path} yes True"
    assert errors == "e\n"


def test_its_exit_status_is_that_of_the_client(run):
    failed = run("raise SystemExit(3)")
    assert (failed.wait(), failed.communicate()) == (3, ("", ""))
    killed = run("os.kill(os.getpid(), 9)")
    assert killed.wait() == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "status", "errors"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit('no room')", 1, "no room\n"),
        ("raise ValueError('bad')", 1, "ValueError: bad\n"),
        ("raise KeyboardInterrupt", 128 + signal.SIGINT, "KeyboardInterrupt\n"),
    ],
)
def test_it_ends_as_an_interpreter_does(run, code, status, errors):
    late = "import atexit, threading; atexit.register(print, 'last'); "
    late += "threading.Timer(0.2, lambda: sys.stdout.write('thread ')).start()\n"
    process = run(late + code)
    output, printed = process.communicate()
    assert (process.returncode, output) == (status, "thread last\n") and printed.endswith(errors)


def test_it_gets_the_signals_of_its_client(run):
    code = "signal.signal(15, lambda *_: sys.exit(5)); print('ready', flush=True); time.sleep(600)"
    process = run(code)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait() == 5


def test_a_signal_right_behind_the_request_arrives(server, tmp_path):
    (tmp_path / "asked_for.py").write_text("import time\ntime.sleep(600)")
    asked = {"command": ["asked_for"], "folder": str(tmp_path), "environment": dict(os.environ)}
    request = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as client, open(os.devnull, "r+") as nothing:
        client.settimeout(60)
        client.connect(os.environ[warm.VARIABLE])
        socket.send_fds(client, [len(request).to_bytes(4, "big")], [nothing.fileno()] * 3)
        client.sendall(request + bytes([signal.SIGTERM]))
        assert client.recv(1) == bytes([128 + signal.SIGTERM])


def test_it_ends_with_its_client(run):
    process = run("print(os.getpid(), flush=True); time.sleep(600)")
    forked = Path("/proc", process.stdout.readline().strip())
    assert forked.exists()
    process.kill()
    end = time.monotonic() + 60
    while forked.exists():
        assert time.monotonic() < end, "the forked process lives on"
        time.sleep(0.05)


def test_a_notebook_is_the_same_as_one_executed_without_a_server(server, make_notebook, tmp_path, monkeypatch):
    where = "import os, sys\nprint(os.getcwd(), sys.argv[1:2], seed)"
    notebook = make_notebook("figure", "seed = 0", where, FIGURE, TABLE)
    execute(notebook, tmp_path / "warm.ipynb", {"seed": 1})
    monkeypatch.delenv(warm.VARIABLE)
    execute(notebook, tmp_path / "cold.ipynb", {"seed": 1})
    assert (tmp_path / "warm.ipynb").read_bytes() == (tmp_path / "cold.ipynb").read_bytes()
    assert '"image/png"' in (tmp_path / "cold.ipynb").read_text()


def test_a_dead_server_only_makes_it_slower(tmp_path, monkeypatch):
    monkeypatch.setenv(warm.VARIABLE, str(tmp_path / "no_socket"))
    done = subprocess.run([*warm.python_m(), "timeit", "-n1", "-r1", "1"], capture_output=True, text=True)
    assert done.returncode == 0 and "1 loop" in done.stdout


def test_the_name_of_a_socket_is_short(tmp_path, monkeypatch):
    """A job of a cluster may have a temporary folder with a very long name."""
    (tmp_path / ("x" * 120)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 120)))
    monkeypatch.delenv(warm.VARIABLE, raising=False)  # of the server of the other tests
    with warm.server(("json",)):
        done = subprocess.run([*warm.python_m(), "platform"], capture_output=True, text=True)
    assert done.returncode == 0 and "Linux" in done.stdout


def test_a_server_that_still_imports_keeps_nobody_waiting(tmp_path, monkeypatch):
    (tmp_path / "takes_long.py").write_text(
        "import time\nfrom pathlib import Path\n"
        "Path(__file__).with_name('begun').touch()\ntime.sleep(600)\nPath(__file__).with_name('ended').touch()"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root()}")
    monkeypatch.delenv(warm.VARIABLE, raising=False)  # of the server of the other tests
    with warm.server(("takes_long",)):
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
    assert not (tmp_path / "ended").exists()
