"""Latency is measured on a warm network."""

import errno
import json
import os
from types import SimpleNamespace

import pytest
import torch

from dsrl_lib.deploy import speed


@pytest.mark.parametrize(("first", "passes"), [(500, 1), (4, 128)])
def test_a_slow_first_pass_is_no_latency(monkeypatch, first, passes):
    """By a clock that passes alone move: the first takes longer than all the time that is asked for, or four ticks.

    Any other takes one. Those that begin from tick 12.8 to tick 140.8 count: a tenth of the time goes before.
    """
    clock, tick, pending = SimpleNamespace(now=0.0), 1 / 1024, iter([first])

    def infer(model, config, frames):
        clock.now += tick * next(pending, 1)

    monkeypatch.setattr(speed, "_infer", infer)
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    times = speed._times(None, None, torch.zeros(1), seconds=128 * tick)
    assert times == [tick] * passes


def test_a_batch_lies_in_memory_as_one_frame_does():
    for count in (1, 8):
        frames = speed._frames(count, (4, 6), torch.device("cpu"))
        assert frames.shape == (count, 3, 4, 6) and frames.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture
def additions(monkeypatch):
    """What is timed: a hundred additions."""
    monkeypatch.setattr(speed, "_infer", lambda model, config, frames: [frames + 1 for _ in range(100)])


@pytest.mark.parametrize("name", ["trace.json", "two\nlines.json"])
def test_a_trace_has_the_events_of_a_frame(additions, tmp_path, name):
    speed._trace(torch.nn.Linear(1, 1), None, (8, 8), tmp_path / name)
    assert len(json.loads((tmp_path / name).read_text())["traceEvents"]) > 100


def test_a_trace_on_a_full_disk_is_an_error(additions, monkeypatch, tmp_path):
    def full(source, target):
        target.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(speed.shutil, "copyfile", full)
    with pytest.raises(OSError, match=r"trace\.json: No space left on device"):
        speed._trace(torch.nn.Linear(1, 1), None, (8, 8), tmp_path / "trace.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0.0, float("nan"), float("inf"), 1e300, 3601.0])
def test_a_time_that_never_ends_is_refused(seconds):
    with pytest.raises(ValueError, match=r"seconds = .*; allowed: a number above 0"):
        speed._check(1, seconds, None)
