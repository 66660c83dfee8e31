"""What a user sees of several processes: their progress, and one message where one of them fails."""

import os
import sys

import pytest
import torch
from tiny_runs import tiny

from dsrl_lib.training.fit import fit
from dsrl_lib.training.launch import launch

LOG = "E1125 21:05:53.867000 22854 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: 1)\n"
TRACEBACK = f'{LOG}Traceback (most recent call last):\n  File "run.py"\nChildFailedError: \n'


@pytest.fixture
def torchrun(tmp_path, monkeypatch):
    """torchrun(text): from now on, torchrun writes this to stderr and fails."""

    def make(text: str) -> None:
        (tmp_path / "text").write_text(text)
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\ncat {tmp_path}/text >&2; exit 1\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    return make


@pytest.mark.parametrize(
    ("text", "shown", "message"),
    [
        (f"lr:  8%|# | 1/2\nerror: loss = nan\nerror: loss = nan\n{TRACEBACK}", "lr:  8%|# | 1/2\n", "loss = nan"),
        (f"lr:  8%|# | 1/2{TRACEBACK}error: late\n", "lr:  8%|# | 1/2", "late"),
        (f"error: closed by peer\nerror: no fit:\n  missing a\n{TRACEBACK}", "", "no fit:\n  missing a"),
        (f"a warning\n{TRACEBACK}  traceback : Signal 9 (SIGKILL) received by PID 3\n", "a warning\n",
         "a process of the run was ended by SIGKILL, perhaps for want of memory; the same command continues "
         "from the last checkpoint"),
        (f"Traceback: a bug\n{TRACEBACK}", "Traceback: a bug\n",
         "a process of the run ended with status 1:\nTraceback: a bug"),
    ],
)  # fmt: skip
def test_torchrun_adds_no_traceback(torchrun, capfd, text, shown, message):
    torchrun(text)
    with pytest.raises(RuntimeError) as error:
        launch(["train"], 2)
    assert str(error.value) == message and capfd.readouterr().err == shown


@pytest.mark.parametrize(
    ("cores", "processes", "own", "threads"),
    [(8, 4, None, "2"), (7, 2, None, "3"), (2, 4, None, "1"), (8, 4, "5", "5")],
)
def test_processes_share_the_cores(tmp_path, monkeypatch, cores, processes, own, threads):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho $OMP_NUM_THREADS > {tmp_path}/threads\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if own:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    launch(["train"], processes)
    assert (tmp_path / "threads").read_text() == f"{threads}\n"


@pytest.mark.parametrize(
    ("asked", "passed"),
    [({}, ["--keep-last", "0"]), ({"keep_best": True, "keep_last": 3}, ["--keep-last", "3", "--keep-best"])],
)
def test_processes_keep_the_weights_that_fit_is_asked_for(results, monkeypatch, asked, passed):
    given = []
    monkeypatch.setattr("dsrl_lib.training.fit.launch", lambda arguments, *_, **__: given.extend(arguments))
    monkeypatch.setattr("dsrl_lib.training.fit._take_up", lambda *_: None)
    fit(tiny("lr"), device="cpu", devices=2, **asked)
    assert given[given.index("--keep-last") :] == passed


def test_a_run_that_sees_one_gpu_cannot_be_shared(results, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="devices = 4; allowed: 1 to 1, the number of CUDA devices that torch finds"):
        fit(tiny("lr"), device="cuda", devices=4)


def test_batch_norms_see_at_least_the_samples_that_they_need(results, monkeypatch):
    def launched(*_, **__):
        raise AssertionError("too late")

    monkeypatch.setattr("dsrl_lib.training.fit.launch", launched)
    small = tiny("lr", "model.host=ddrnet23_slim", "optim.batch_size=2")
    with pytest.raises(ValueError, match=r"optim.batch_size = 2 with devices = 2; allowed: model.sync_bn = true, or "
                       r"for each device 2 or more with model.host = ddrnet23_slim"):  # fmt: skip
        fit(small, device="cpu", devices=2)
    for allowed in ("model.sync_bn=true", "model.frozen_bn=true", "optim.batch_size=4"):
        with pytest.raises(AssertionError, match="too late"):
            fit(tiny("lr", "model.host=ddrnet23_slim", "optim.batch_size=2", allowed), device="cpu", devices=2)
    assert not torch.distributed.is_initialized()
