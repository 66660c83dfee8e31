"""Processes share a pool of places on GPUs."""

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack

import pytest

from dsrl_lib.paths import root

HOLDER = """
import os, pathlib, sys, time
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.05)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def start(tmp_path):
    """`start(places, 3)`: a process that writes its GPU, waits until there is a file `go`, and ends with status 3."""
    (tmp_path / "holder.py").write_text(HOLDER)

    def begin(places: str, status: int = 0) -> subprocess.Popen:
        command = [sys.executable, "-m", "study.execution.gpus", str(tmp_path), places, "holder", str(status)]
        path = os.pathsep.join((str(tmp_path), str(root())))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, **pipes)
        processes.enter_context(process)
        processes.callback(process.kill)
        return process

    with ExitStack() as processes:
        yield begin


def gpu(process: subprocess.Popen) -> str:
    return process.stdout.readline().strip()


def test_a_gpu_has_no_more_runs_than_places_and_a_killed_one_leaves_its_place(start, tmp_path):
    places = "5,MIG-7/0,5,MIG-7/0"
    holders = [start(places) for _ in range(4)]
    of = [gpu(holder) for holder in holders]
    assert Counter(of) == {"5": 2, "MIG-7/0": 2}
    later = [start(places, status) for status in (3, 4)]
    for process in later:
        assert process.stderr.readline() == "waiting: other runs have all places on the GPUs 5, MIG-7/0\n"
    holders[0].kill()
    (started,), _, _ = select.select([process.stdout for process in later], [], [], 60)
    assert started.readline().strip() == of[0]
    (tmp_path / "go").touch()
    assert [process.wait() for process in holders + later] == [-signal.SIGKILL, 0, 0, 0, 3, 4]


def test_a_notebook_sees_the_gpu_of_its_run(make_notebook, tmp_path):
    notebook = make_notebook("look", "seed = 0", "import os\nos.environ['CUDA_VISIBLE_DEVICES']")
    command = [sys.executable, "-m", "study.execution.gpus", str(tmp_path), "GPU-6a", "study", "execute"]
    for name, status, errors in ((notebook, 0, ""), ("none.ipynb", 1, "error: there is no notebook none.ipynb\n")):
        words = [*command, str(name), str(tmp_path / "looked.ipynb")]
        done = subprocess.run(words, cwd=root(), capture_output=True, text=True)
        assert done.returncode == status and done.stderr.endswith(errors)
    assert "'GPU-6a'" in (tmp_path / "looked.ipynb").read_text()


def test_fewer_runs_than_gpus_are_spread(start):
    assert {gpu(start("0,1,2,0,1,2")) for _ in range(3)} == {"0", "1", "2"}
