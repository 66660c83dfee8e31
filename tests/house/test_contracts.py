"""What the repository promises about itself: imports point one way, notebooks and results are portable."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from repository import committed

from dsrl_lib.paths import root

# Folders of a machine, and hosts that only a registry or an internal network has.
MACHINE = re.compile(
    r"(?<![\w.~$}<>])/(?:home|root|Users|work|tmp|var/tmp|mnt|scratch)/[\w.-]+"
    r"|\bipykernel_\d+|[\w.-]+\.(?:internal|corp|local)\b(?=[:/])"
    r"|(?:index-url|find-links|extra-index-url)\b"
)
EXAMPLES = {"tests/house/test_contracts.py", "tests/study/execution/test_execute.py"}
"""Tests that hold what no other file may."""


def text_of(path: Path) -> str:
    """Nothing for a picture, an array or weights."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def machine_text(text: str) -> list[str]:
    return [match.group() for match in MACHINE.finditer(text)]


def test_imports_point_one_way():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=root(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_training_starts_without_torchvision():
    """It takes as long to import as PyTorch, and so do PyTorch's compiler and SymPy, which it brings along."""
    heavy = "{'torchvision', 'timm', 'sympy', 'torch._dynamo', 'numba', 'torchmetrics', 'matplotlib'}"
    code = f"import sys, dsrl_lib.training.fit; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root(), capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_nothing_happens_at_import():
    code = "import sys, dsrl_lib; print(sorted(m for m in sys.modules if m.startswith('dsrl_lib')))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "['dsrl_lib']\n"


def test_executed_notebooks_in_git_have_no_error():
    for path in committed("results/*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        kinds = {output["output_type"] for cell in cells for output in cell.get("outputs", [])}
        assert "error" not in kinds, path


def sources(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


@pytest.mark.parametrize(
    "path", committed("results/*/notebooks/[0-9]*.ipynb"), ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
def test_executed_notebook_is_the_notebook_of_today(path):
    first, *others = sources(root() / "notebooks" / path.name)
    shown, *executed = sources(path)
    paragraphs = first.split("\n\n")
    assert [text for text in shown.split("\n\n") if text in paragraphs] == paragraphs  # between them, its answers
    assert [text for text in executed if not text.startswith("# Parameters\n")] == others


def test_no_file_names_a_folder_of_a_machine():
    found = {}
    for path in committed():
        text = re.sub(r'"image/(png|jpeg)": "[^"]*"', "", text_of(path))
        if leaks := machine_text(text):
            found[str(path.relative_to(root()))] = sorted(set(leaks))
    assert found.keys() == EXAMPLES, found


@pytest.mark.parametrize(
    "text", ["see /home/jane/x", '"/root/data"', "/tmp/ab12", "pip --index-url x", "a.corp/simple"]
)
def test_the_search_finds_what_it_should(text):
    assert machine_text(text)


@pytest.mark.parametrize("text", ["./results/a.csv", "https://example.org/home/page", "$DSRL_DATA/camvid", "~/work/x"])
def test_the_search_leaves_the_rest(text):
    assert not machine_text(text)


def test_no_file_over_a_megabyte():
    large = [
        path
        for path in committed()
        if path.stat().st_size > 2**20
        and not path.match("results/*/notebooks/**")
        and not path.match("weights/*.safetensors")
    ]
    assert large == []


@pytest.mark.parametrize("script", ["run_all.sh", "run_tests.sh", "environment.sh", ".ci/run"])
def test_shell_scripts_parse_and_can_be_called(script):
    subprocess.run(["bash", "-n", script], cwd=root(), check=True)
    assert script == "environment.sh" or (root() / script).stat().st_mode & 0o111
