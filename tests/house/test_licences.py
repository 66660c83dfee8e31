"""IDD-lite: the repository holds no picture, label or crop of it (its licence is for research, by registration)."""

import base64
import io
import json
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

from dsrl_lib.paths import root

FOLDER = root() / "results" / "idd"
LIMIT = 0.03
"""Of `rare`, between charts and photographs."""


def rare(picture: bytes) -> float:
    """Share of pixels whose colour, of 4096, is none of the hundred most common: charts have few colours."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")) >> 4  # (H, W, 3)
    counts = np.bincount(pixels.reshape(-1, 3).astype(int) @ (256, 16, 1), minlength=4096)
    return 1 - np.sort(counts)[-100:].sum() / counts.sum()


def pictures(path) -> list[bytes]:
    """The pictures in the outputs of an executed notebook."""
    outputs = [output for cell in json.loads(path.read_text())["cells"] for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    assert not any("data:image" in "".join(entry.get("text/html", "")) for entry in data), path.name
    return [base64.b64decode("".join(entry[kind])) for entry in data for kind in entry if kind.startswith("image/")]


def test_what_is_kept_of_idd_lite_is_charts():
    kept = [path.read_bytes() for path in FOLDER.rglob("*.png")]
    kept += [picture for path in FOLDER.glob("notebooks/*.ipynb") for picture in pictures(path)]
    assert all(path.with_suffix(".png").exists() for path in FOLDER.rglob("*.pdf"))  # the same figure, looked at here
    assert kept and max(map(rare, kept)) < LIMIT
    assert not [path for path in FOLDER.rglob("*") if path.suffix in (".jpg", ".jpeg", ".svg", ".html")]


def test_a_photograph_would_be_noticed():
    notebook = root() / "results" / "camvid" / "notebooks" / "43_where_it_helps.ipynb"
    assert max(map(rare, pictures(notebook))) > LIMIT


@pytest.mark.parametrize("name", ["02_method", "43_where_it_helps", "51_inference", "52_affinity_explorer", "runs/a"])
def test_git_leaves_out_notebooks_that_show_frames(name):
    if not (root() / ".git").exists():
        pytest.skip("no git checkout")
    command = ["git", "check-ignore", "-q", f"results/idd/notebooks/{name}.ipynb"]
    assert subprocess.run(command, cwd=root()).returncode == 0


@pytest.mark.parametrize("name", ["01_data_prep", "31_label_relaxation", "33_adaptive_downsampling"])
def test_notebooks_that_git_keeps_ask_before_they_show_frames_or_labels(name):
    cells = json.loads((root() / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()]
    shown = [
        line for line in lines if re.search(r"(sample_pictures|sampled_pictures|label_pictures|location_grids)\(", line)
    ]
    assert shown and all(line.startswith("withheld(") for line in shown)
