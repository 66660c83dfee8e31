"""Files that appear whole or not at all, whoever else writes them."""

from pathlib import Path

from dsrl_lib import runs
from dsrl_lib.records import write_atomically


def test_two_processes_that_write_one_file_spoil_nothing(tmp_path: Path) -> None:
    """Such as README.md, by two studies that run side by side."""
    path = tmp_path / "README.md"

    def slowly(temporary: Path) -> None:
        temporary.write_text("first")
        write_atomically(path, lambda other: other.write_text("second"))
        assert path.read_text() == "second"

    write_atomically(path, slowly)
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_a_file_may_have_the_longest_name_that_there_is(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 251}.png"
    write_atomically(path, lambda temporary: temporary.write_text("whole"))
    assert path.read_text() == "whole"


def test_what_a_killed_process_left_in_a_run_goes_when_it_continues(tmp_path: Path) -> None:
    (tmp_path / ".0a1b.partial").write_text("half a checkpoint")
    with runs.acquire(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
