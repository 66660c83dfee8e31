"""A run says with what code and on what devices it was trained, also if it was cut off and continued with others."""

from contextlib import contextmanager

import pytest
import torch
from tiny_runs import tiny

from dsrl_lib import runs
from dsrl_lib.records import read_json
from dsrl_lib.training import fit as training
from dsrl_lib.training.provenance import of_all
from dsrl_lib.training.signals import StoppedError


def process(commit: str | None, dirty: bool | None, device: str = "CPU, one") -> dict:
    return {"commit": commit, "dirty": dirty, "device": device}


@contextmanager
def at_once():
    """A request to stop that is there from the start: a run ends after its first step."""
    yield lambda: True


def fit_with(monkeypatch, commit: str, dirty: bool, device: str = "CPU, one", stop: bool = False):
    """Train a tiny run, or continue it, with code of this commit on a device of this name."""
    with monkeypatch.context() as patched:
        patched.setattr(training, "provenance", lambda: {"commit": commit, "dirty": dirty})
        patched.setattr("dsrl_lib.training.machine.device_name", lambda _: device)
        if stop:
            patched.setattr(training, "stop_requests", at_once)
        return training.fit(tiny("lr"), device="cpu", progress=False)


@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_was_begun_with_uncommitted_code_stays_dirty(results, monkeypatch, known):
    """Unless its checkpoint is older than these notes."""
    begun = [("a", True, "CPU, other"), ("b", False), ("b", False)]
    for each in begun:
        with pytest.raises(StoppedError):
            fit_with(monkeypatch, *each, stop=True)
    path = runs.folder(tiny("lr")) / "last.pt"
    state = torch.load(path, weights_only=True)
    assert state["step"] == 3 and state["processes"] == [process(*each) for each in begun[:2]]
    if not known:
        torch.save({name: value for name, value in state.items() if name != "processes"}, path)
    environment = read_json(fit_with(monkeypatch, "c", False) / "env.json", runs.ENVIRONMENT)
    assert {name: environment[name] for name in process("c", known)} == process("c", known)
    assert environment.get("earlier") == (state["processes"] if known else None)


@pytest.mark.parametrize(
    ("processes", "dirty"),
    [
        ([("a", False)], False),
        ([("a", True), ("a", False)], True),
        ([(None, None), ("a", False)], None),
        ([(None, None), ("b", True), ("a", False)], True),
    ],
)
def test_the_code_of_all_processes(processes, dirty):
    every = [process(*each) for each in processes]
    found = of_all(every)
    assert found.pop("earlier", []) == every[:-1]
    assert found == every[-1] | {"dirty": dirty}
