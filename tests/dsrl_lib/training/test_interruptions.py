"""Nothing is lost to kill -9, a second process, a loss that is not finite, or a full disk."""

import os
import random
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_runs import TINY, assert_same, content, tiny

import dsrl_lib.training.loop as training
from dsrl_lib import runs
from dsrl_lib.data.split import load_split
from dsrl_lib.records import read_json
from dsrl_lib.training import checkpoint, signals
from dsrl_lib.training.fit import fit
from dsrl_lib.training.loop import NonFiniteLossError
from dsrl_lib.training.state import RunState
from study.presets import preset


def test_a_run_killed_at_any_moment_ends_bit_identical(python_m, trained, results, tmp_path):
    overrides = ("optim.epochs=2", "optim.precision=bf16")
    config = tiny("sssr", *overrides)
    undisturbed, directory = trained(config), runs.folder(config)
    (tmp_path / "program.py").write_text(
        "import sys, time, dsrl_lib.training.loop as loop\n"
        "from study.presets import preset\n"
        "from dsrl_lib.training.fit import fit\n"
        "loop.CHECKPOINT_SECONDS = 0  # after every step\n"
        "terms, steps = loop.loss_terms, iter([0.1, 0.1])\n"
        "def slow(*given):\n"
        "    time.sleep(next(steps, 600))  # from the third step on: no machine ends before a kill\n"
        "    return terms(*given)\n"
        "loop.loss_terms = slow\n"
        "fit(preset('smoke', 'sssr', overrides=sys.argv[1:]), device='cpu', progress=False)"
    )
    command = [*python_m, "program", *TINY, *overrides]
    moments, rng = [], random.Random(0)
    for _ in range(2):
        process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONWARNINGS": "ignore"})
        before = read_json(directory / "config.json") if moments else None
        seen = (directory / "last.pt").stat().st_mtime_ns if (directory / "last.pt").exists() else 0
        while process.poll() is None:
            saved = directory / "last.pt"
            if saved.exists() and saved.stat().st_mtime_ns > seen:
                break
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert before in (None, config.to_dict())
        with runs.acquire(directory, wait=True):  # the forked process ends a moment after its client
            moments.append(checkpoint.load(directory)["step"])
    assert 0 < moments[0] < moments[1] < 8
    assert not runs.is_complete(directory)
    assert_same(fit(config, device="cpu", progress=False), undisturbed)


def test_a_child_that_has_just_ended_does_not_disturb_the_end(monkeypatch):
    """A thread that waits for a child may take it away between the list of children and the signal to it."""
    monkeypatch.setattr(signals, "_children", lambda: [2**22 + 1])  # above the largest number of a process
    with signals.passed_on_to_children() as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped()


def test_two_processes_never_write_one_run(results, capfd):
    config = tiny("lr")
    with ThreadPoolExecutor(1) as thread:
        with runs.acquire(runs.folder(config)):
            second = thread.submit(fit, config, device="cpu", progress=False)
            said = ""
            while "waiting for it" not in said and not second.done():
                time.sleep(0.05)
                said += capfd.readouterr().err
            assert f"{config.run_id} is being written by another process: waiting for it" in said
            assert not second.done() and not (runs.folder(config) / "config.json").exists()
        assert runs.is_complete(second.result())


def test_the_lock_of_a_run_is_free_after_its_block(tmp_path):
    held = runs.acquire(tmp_path)
    with held, pytest.raises(runs.RunBusyError):
        runs.acquire(tmp_path).__enter__()
    with runs.acquire(tmp_path):
        pass


def test_a_non_finite_loss_names_step_terms_and_checkpoint(results, monkeypatch):
    config = tiny("sssr")
    real, calls = training.loss_terms, []

    def poisoned(*arguments):
        calls.append(None)
        terms = real(*arguments)
        return terms if len(calls) < 4 else terms | {"ce": terms["ce"] * float("nan")}

    monkeypatch.setattr(training, "loss_terms", poisoned)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)
    with pytest.raises(NonFiniteLossError, match=r"at step 3: ce = nan; the last good checkpoint is .*last\.pt"):
        fit(config, device="cpu", progress=False)
    monkeypatch.setattr(training, "loss_terms", real)
    assert runs.is_complete(fit(config, device="cpu", progress=False))  # and nothing was lost


def test_a_damaged_or_foreign_checkpoint_is_explained(results):
    config = tiny("lr")
    directory = runs.folder(config)
    directory.mkdir(parents=True)
    (directory / "last.pt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(ValueError, match=r"last\.pt is damaged .*delete it"):
        fit(config, device="cpu", progress=False)
    other = RunState(tiny("bilinear"), load_split("streets", "train"), torch.device("cpu"))
    torch.save(other.state_dict(), directory / "last.pt")
    with pytest.raises(ValueError, match="belongs to another configuration"):
        fit(config, device="cpu", progress=False)


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A results folder on a file system of 5 MB; the function that it gives makes it larger."""
    folder = tmp_path / "results"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system here: {mounted.stderr.strip()}")
    monkeypatch.setenv("DSRL_RESULTS", str(folder))
    yield lambda: subprocess.run(["mount", "-o", "remount,size=50m", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)  # a board of TensorBoard may still be open


def test_a_disk_that_fills_up_loses_no_finished_run(trained, small_disk, tmp_path):
    finished = shutil.copytree(trained(tiny("lr")), runs.folder(tiny("lr")))
    before = content(finished)
    config = preset("smoke", "lr", seed=1, overrides=TINY)
    room = shutil.disk_usage(tmp_path / "results").free - 300_000  # bytes: less than the weights of a run
    (tmp_path / "results" / "other").write_bytes(bytes(room))
    with pytest.raises(OSError, match="No space left on device; what was there before is kept; make room and give"):
        fit(config, device="cpu", progress=False)
    after = content(finished)
    assert before["counts"] == after["counts"] and before["history"] == after["history"]
    assert not runs.is_complete(runs.folder(config)) and not list(runs.folder(config).glob("*.partial"))
    small_disk()
    assert runs.is_complete(fit(config, device="cpu", progress=False))
