"""Work over a whole data set: once, whatever happens to the file that remembers it."""

import errno
import multiprocessing
import time

import numpy as np
import pytest

from dsrl_lib.data import once


def slow(path, started, count):
    def make():
        with count.get_lock():
            count.value += 1
        time.sleep(0.2)
        return np.arange(5)

    started.wait()
    assert once.array_once(path, make).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns; no other thread runs here
def test_of_several_processes_one_does_the_work(tmp_path):
    context = multiprocessing.get_context("fork")
    started, count = context.Barrier(3), context.Value("i", 0)
    workers = [context.Process(target=slow, args=(tmp_path / "a/x.npy", started, count)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0] and count.value == 1


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"\x93NUMPY\x01\0", b"PK\x03\x04" + b"x" * 200])
def test_a_damaged_file_is_made_again(tmp_path, content):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    assert once.array_once(path, lambda: np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert once.array_once(path, lambda: pytest.fail("it was kept")).tolist() == [0, 1, 2, 3, 4]


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["numpy.save", "pathlib.Path.mkdir"])
def test_what_cannot_be_written_is_made_each_time(tmp_path, monkeypatch, function):
    monkeypatch.setattr(function, full)
    sizes = iter((3, 4))
    made = [once.array_once(tmp_path / "a/x.npy", lambda: np.arange(next(sizes))).size for _ in range(2)]
    assert made == [3, 4]
    assert not list(tmp_path.rglob("*.npy")) and not list(tmp_path.rglob("*.partial"))


def test_an_error_of_the_work_itself_is_raised(tmp_path):
    with pytest.raises(ValueError, match="tile"):
        once.array_once(tmp_path / "x.npy", lambda: int("tile"))


def test_results_come_in_order_and_the_first_error_ends_the_work(monkeypatch):
    monkeypatch.setattr(once, "MOST", 2)
    assert list(once.in_threads(lambda i: (time.sleep(0.01 * (i % 2)), i)[1], 9, "work")) == list(range(9))
    done = []
    with pytest.raises(OSError, match="No space"):
        list(once.in_threads(lambda i: full() if i == 1 else (time.sleep(0.01), done.append(i)), 1000, "work"))
    assert len(done) < 100
