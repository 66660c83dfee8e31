"""Files that appear whole, whoever else writes them."""

import subprocess
import sys

from dsrl_lib.records import write_atomically
from dsrl_lib.training import checkpoint


def test_another_process_may_write_the_same_file_meanwhile(tmp_path):
    path = tmp_path / "a.json"
    other = f"from pathlib import Path; from dsrl_lib.records import write_json; write_json(Path({str(path)!r}), {{}})"

    def write(temporary):
        temporary.write_text("ours")
        subprocess.run([sys.executable, "-c", other], check=True)
        assert path.read_text() == "{}\n"

    write_atomically(path, write)
    assert path.read_text() == "ours" and list(tmp_path.iterdir()) == [path]


def test_a_run_that_ends_leaves_no_part_of_a_checkpoint(tmp_path):
    for name in ("last.pt", "previous.pt", ".last.pt.12.partial", "config.json"):  # a killed process left the third
        (tmp_path / name).touch()
    checkpoint.delete(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
