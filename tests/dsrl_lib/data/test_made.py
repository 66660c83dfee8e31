"""Folders of the cache that this library makes: whole, made once, and read where nothing can be written."""

from pathlib import Path

import pytest

import streets
from dsrl_lib.data.made import made
from dsrl_lib.data.readers import streets as reader
from dsrl_lib.data.split import load_split


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be written: as root, whom no permission binds, no folder can be closed."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for call in ("os.mkdir", "os.rename"):
        monkeypatch.setattr(call, lambda *_, **__: pytest.fail("something is written"))
    monkeypatch.setattr("dsrl_lib.data.made.FileLock", lambda path: pytest.fail("a lock is written"))


@pytest.fixture
def small(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scenes per split."""
    write, images = streets.write, dict.fromkeys(("train", "val", "test"), 2)
    monkeypatch.setattr(streets, "write", lambda folder: write(folder, height=32, width=64, images=images))


def two(folder: Path) -> None:
    (folder / "below").mkdir()
    for name in ("a.png", "below/b.png"):
        (folder / name).write_text(name)


@pytest.mark.parametrize("missing", ["a.png", "below/b.png", "made.json"])
def test_a_folder_that_has_lost_a_file_is_made_again(tmp_path: Path, missing: str) -> None:
    """Old files of a scratch disk are deleted one by one."""
    folder = made(tmp_path / "cache" / "two", two)
    (folder / missing).unlink()
    (folder / "foreign").write_text("")
    assert (made(folder, two) / missing).exists() and not (folder / "foreign").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["two", "two.lock"]
    assert made(folder, lambda _: pytest.fail("it is whole")) == folder


def test_others_may_read_it(tmp_path: Path) -> None:
    assert made(tmp_path / "two", two).stat().st_mode & 0o777 == 0o755


def test_the_scenes_are_all_there(small: None) -> None:
    first = load_split("streets", "val")
    next((reader.drawn() / "leftImg8bit/val").rglob("*.png")).unlink()
    assert load_split("streets", "val").names == first.names


def test_what_is_there_is_read_where_nothing_can_be_written(small: None, request: pytest.FixtureRequest) -> None:
    first = load_split("streets", "val")
    request.getfixturevalue("closed")
    assert load_split("streets", "val").manifest_hash == first.manifest_hash


def test_a_folder_that_cannot_be_written_is_named(small: None, closed: None) -> None:
    with pytest.raises(PermissionError, match=r"^DSRL_CACHE = .*: nothing can be written in"):
        load_split("streets", "val")
