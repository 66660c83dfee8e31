"""Latency is measured on a warm network."""

import json
import subprocess
import time

import pytest
import torch

from dsrl_lib.deploy import speed


def test_a_slow_first_pass_is_no_latency(monkeypatch):
    passes = []

    def infer(model, config, frames):
        time.sleep(0.001 if passes else 0.3)  # kernels are chosen, memory is reserved
        passes.append(None)

    monkeypatch.setattr(speed, "_infer", infer)
    times = speed._times(None, None, torch.zeros(1), seconds=0.1)  # the first pass takes longer than all that
    assert len(times) == 1 and len(passes) == 2 and max(times) < 0.3
    assert max(speed._times(None, None, torch.zeros(1), seconds=0.05)) < 0.3


def test_a_batch_lies_in_memory_as_one_frame_does():
    for count in (1, 8):
        frames = speed._frames(count, (4, 6), torch.device("cpu"))
        assert frames.shape == (count, 3, 4, 6) and frames.is_contiguous(memory_format=torch.channels_last)


def test_a_trace_on_a_full_disk_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "_infer", lambda model, config, frames: [frames + 1 for _ in range(100)])
    speed._trace(torch.nn.Linear(1, 1), None, (8, 8), tmp_path / "trace.json")
    assert len(json.loads((tmp_path / "trace.json").read_text())["traceEvents"]) > 100
    (tmp_path / "full").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path / "full"]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a file system here")
    try:
        with pytest.raises(OSError, match=r"trace\.json: No space left on device"):
            speed._trace(torch.nn.Linear(1, 1), None, (8, 8), tmp_path / "full" / "trace.json")
        assert not list((tmp_path / "full").iterdir())
    finally:
        subprocess.run(["umount", tmp_path / "full"], check=True)


@pytest.mark.parametrize("seconds", [0.0, float("nan"), float("inf")])
def test_a_time_that_never_ends_is_refused(seconds):
    with pytest.raises(ValueError, match=r"seconds = .*; allowed: a number above 0"):
        speed._check(1, seconds, None)
