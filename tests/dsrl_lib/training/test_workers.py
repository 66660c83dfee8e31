"""Processes that load samples: what they lack is said before the run, and their errors are those of one process."""

import os
import shutil

import pytest
import torch
from tiny_runs import tiny
from torch.utils.data import DataLoader, Dataset

from dsrl_lib.data.frames import DataError
from dsrl_lib.training.fit import fit
from dsrl_lib.training.workers import default_workers, explained
from study.train import train_with_parents


class Failing(Dataset):
    """Each item raises this error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (DataError("a.png is bad:\n  it was cut"), DataError, "^a.png is bad:\n  it was cut$"),
        (ValueError("frames differ"), ValueError, "^frames differ$"),
        (RuntimeError("unable to allocate shared memory(shm) for file </torch_2_3>"), RuntimeError,
         r"^a process that loads samples failed: unable to allocate .*; give fewer --workers \(0: none\), or a larger"),
        (MemoryError(), RuntimeError, r"^not enough memory \(MemoryError\); a smaller optim.batch_size"),
    ],
)  # fmt: skip
def test_an_error_of_a_worker_is_that_of_the_sample(error, kind, said):
    with pytest.raises(kind, match=said) as raised, explained():
        next(iter(DataLoader(Failing(error), num_workers=1)))
    assert "Traceback" not in str(raised.value)


def test_other_errors_stay_as_they_are():
    for error in (ValueError("Caught in the act"), KeyError("a")):
        with pytest.raises(type(error)) as raised, explained():
            raise error
        assert raised.value is error


def test_a_killed_worker_is_explained():
    with pytest.raises(RuntimeError, match=r"killed by signal: Bus error\..*; give fewer --workers"), explained():
        raise RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error. It is possible that")


def test_too_little_shared_memory_is_said_before_the_run(results, monkeypatch):
    usage = type(shutil.disk_usage("."))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 0, 10**6))
    with pytest.raises(ValueError, match=r"workers = 2: batches of 0.2 MB go through /dev/shm, where 2.9 MB are needed "
                       r"and 1.0 MB are free; give fewer --workers \(0: none\), or a larger /dev/shm"):  # fmt: skip
        fit(tiny("lr"), device="cpu", workers=2)
    assert not results.exists()


@pytest.mark.parametrize(
    ("cores", "devices", "free", "workers"),
    [
        (16, 1, 1e12, 8),
        (16, 4, 1e12, 3),
        (6, 1, 1e12, 5),
        (2, 4, 1e12, 0),
        (16, 1, 4.5e6, 3),  # each has 2 batches of 0.2 MB and 1 MiB of queues; one more batch is in use
        (16, 1, 1e5, 0),
    ],
)
def test_a_gpu_has_as_many_workers_as_cores_and_memory_allow(monkeypatch, cores, devices, free, workers):
    usage = type(shutil.disk_usage("."))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free, 0, free))
    assert default_workers(tiny("lr"), torch.device("cuda"), devices) == workers
    assert default_workers(tiny("lr"), torch.device("cpu"), devices) == 0


def test_an_option_that_does_not_exist_is_refused_before_the_first_run(results):
    with pytest.raises(TypeError, match="wrkers"):
        train_with_parents(tiny("dsrl"), wrkers=2)
    assert not results.exists()
