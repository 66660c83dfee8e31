"""The cache: reused, rebuilt if the contents change or it is damaged, built by one process at a time."""

import errno
import json
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from camvid_frames import image, label, truncate
from written_frames import save

from dsrl_lib.data import cache, split
from dsrl_lib.data.frames import DataError, Frame
from dsrl_lib.data.split import load_split


def test_cache_is_reused_and_follows_the_contents(camvid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_split("camvid", "val")
    save(camvid / "valannot/0016E5_00390.png", label(9))
    second = load_split("camvid", "val")
    assert second.manifest_hash != first.manifest_hash and second.folder != first.folder
    assert (second.labels[0] == np.where(label(9) == 11, 255, label(9))).all()
    save(camvid / "valannot/0016E5_00390.png", label(0))  # the old contents, at a new time
    monkeypatch.setattr(cache, "_decode", None)  # it would fail if called
    third = load_split("camvid", "val")
    assert third.manifest_hash == first.manifest_hash and third.folder == first.folder


def test_other_contents_of_the_same_size_and_time_are_seen(camvid: Path) -> None:
    """As `cp -p` and archives leave them."""
    path, hashes = camvid / "valannot/0016E5_00390.png", []
    for value in (0, 9):
        save(path, label(value))
        path.write_bytes(path.read_bytes().ljust(200, b"\0"))
        os.utime(path, ns=(0, 0))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (200, 0)
        hashes.append(load_split("camvid", "val").manifest_hash)
    assert hashes[0] != hashes[1]


def test_manifest_hash_does_not_depend_on_the_folder(camvid: Path, tmp_path: Path, monkeypatch) -> None:
    first = load_split("camvid", "val").manifest_hash
    shutil.copytree(camvid, tmp_path / "elsewhere/camvid", copy_function=shutil.copyfile)
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "elsewhere"))
    assert load_split("camvid", "val").manifest_hash == first
    (tmp_path / "elsewhere/camvid/val.txt").write_text("0016E5_00390 0016E5_00420")
    assert load_split("camvid", "val").manifest_hash != first


@pytest.mark.parametrize("damage", ["images.npy", "labels.npy", "gone", "empty", "hash", "types"])
def test_damaged_cache_is_rebuilt(camvid: Path, damage: str) -> None:
    folder = load_split("camvid", "val").folder
    if damage == "gone":
        (folder / "labels.npy").unlink()
    elif damage == "empty":  # as a machine leaves it that lost its power
        (folder / "images.npy").write_bytes(b"")
    elif damage == "hash":
        for record in folder.parent.glob("manifests/*.json"):
            record.write_text(json.dumps(json.loads(record.read_text()) | {"hash": 3}))
    elif damage == "types":
        for record in folder.parent.glob("manifests/*.json"):
            record.write_text("[3]")
    else:
        truncate(folder / damage)
    again = load_split("camvid", "val")
    assert again.folder == folder and (again.images[0] == image(0)).all()


def test_the_cache_of_an_older_version_is_opened(camvid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It kept shape and names in a file more, and wrote the index without indents."""
    first = load_split("camvid", "val")
    (first.folder / "meta.json").write_text(json.dumps({"shape": first.labels.shape, "names": first.names}))
    for index in first.folder.parent.glob("manifests/*.json"):
        index.write_text(json.dumps(json.loads(index.read_text())))
    monkeypatch.setattr(cache, "_decode", None)  # it would fail if called
    monkeypatch.setattr(cache, "_line", None)
    again = load_split("camvid", "val")
    assert (again.labels[2] == first.labels[2]).all() and again.folder == first.folder


def test_no_room_for_the_cache(camvid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage("."))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000, 900, 100))
    with pytest.raises(DataError, match=r"not enough disk space .*DSRL_CACHE"):
        load_split("camvid", "val")


def test_a_copy_for_another_process_carries_no_pixels(camvid: Path) -> None:
    loaded = load_split("camvid", "val")
    data = pickle.dumps(loaded)
    again = pickle.loads(data)
    assert again.images.filename == loaded.images.filename and len(data) < 1000
    assert again.manifest_hash == loaded.manifest_hash and again.sequences == loaded.sequences


def slow_build(folder: Path, frames: list[Frame], started, count) -> None:
    decode = cache._decode

    def counted(*arguments: object) -> None:
        with count.get_lock():
            count.value += 1
        decode(*arguments)

    cache._decode = counted
    started.wait()
    cache.build_cache(folder, frames)
    assert cache.open_cache(folder)[0].shape[0] == len(frames)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns; no other thread runs here
def test_two_processes_build_one_cache(camvid: Path, tmp_path: Path) -> None:
    frames = split.list_frames("camvid", "val") * 40
    context = multiprocessing.get_context("fork")
    started, count = context.Barrier(2), context.Value("i", 0)
    workers = [context.Process(target=slow_build, args=(tmp_path / "c/x", frames, started, count)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0] and count.value == 1
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["x", "x.lock"]


def test_what_a_killed_process_left_goes_with_the_next_build(camvid: Path) -> None:
    folder = load_split("camvid", "val").folder
    left = folder.parent / f".{folder.name}-abcdefgh"
    shutil.copytree(folder, left)
    shutil.rmtree(folder)
    load_split("camvid", "val")
    assert folder.is_dir() and not left.exists()


def test_a_cache_that_cannot_be_written_is_named_before_the_files_are_read(camvid: Path, tmp_path, monkeypatch) -> None:
    frames = split.list_frames("camvid", "val")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(cache, "_line", None)  # it would fail if called
    with pytest.raises(PermissionError, match=r"DSRL_CACHE = .*: nothing can be written in"):
        cache.manifest_hash(frames, tmp_path / "closed" / "index.json")


def test_a_quota_is_met_before_frames_are_decoded(camvid: Path, monkeypatch) -> None:
    """A page of a file in memory that finds no room kills the process."""

    def full(*_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(DataError, match=r"not enough disk space in .*: Disk quota exceeded.*set DSRL_CACHE"):
        load_split("camvid", "val")
    assert not list(camvid.parents[1].glob("cache/*/images.npy"))


def test_a_record_that_finds_no_room_stops_nothing(camvid: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    first = load_split("camvid", "val")
    for record in first.folder.parent.glob("manifests/*.json"):
        record.unlink()
    monkeypatch.setattr(cache, "write_json", full)
    assert load_split("camvid", "val").manifest_hash == first.manifest_hash
