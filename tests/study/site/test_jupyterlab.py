"""Notebook 52 in JupyterLab, in headless Chromium, with the released weights: clicks show what the library computes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch

from dsrl_lib.data.split import load_split
from dsrl_lib.paths import root
from study.explore import trained_networks
from study.figures.explorer import Explored, explored
from study.figures.showcase import affinity_to

pytestmark = pytest.mark.endurance

PATIENCE_S = 120
GRID = (45, 60)
"""Tokens at HR 360x480 and stride 8."""
LIVE, STATIC = ".widget-interact .affinity-explorer", ".affinity-explorer:not(.widget-interact *)"
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


@pytest.fixture
def jupyterlab(results, tmp_path, monkeypatch) -> Iterator[str]:
    """The address of notebook 52, on the three frames of tests/frames."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "DSRL_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("DSRL_DATA", str(root() / "tests" / "frames"))
    monkeypatch.setenv("PYTHONPATH", str(root()), prepend=os.pathsep)
    settings = tmp_path / "JUPYTER_CONFIG_DIR" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "page_config.json").write_text(json.dumps(NO_NEWS))
    notebook = nbformat.read(root() / "notebooks" / "52_affinity_explorer.ipynb", 4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = 'profile, seed, live = "camvid", 0, 1'
    folder = tmp_path / "lab"
    folder.mkdir()
    nbformat.write(notebook, folder / "explorer.ipynb")
    options = ("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=t")
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder}"]
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"{_address(server, tmp_path)}lab/tree/explorer.ipynb?token=t"
    finally:
        server.terminate()  # its kernels end with it
        server.wait(PATIENCE_S)


def _address(server: subprocess.Popen, folder: Path) -> str:
    """Once the server answers; it says where in its runtime folder."""
    for _ in range(10 * PATIENCE_S):
        for path in (folder / "JUPYTER_RUNTIME_DIR").glob("jpserver-*.json"):
            return json.loads(path.read_text())["url"]
        assert server.poll() is None, (folder / "log").read_text()
        time.sleep(0.1)
    raise TimeoutError((folder / "log").read_text())


def click(page: Any, explorer: str, token: tuple[int, int]) -> None:
    """Click the middle of a token of the photograph."""
    place = page.locator(explorer).locator(".place").first
    box = place.bounding_box()
    (row, column), (rows, columns) = token, GRID
    place.click(position={"x": (column + 0.5) / columns * box["width"], "y": (row + 0.5) / rows * box["height"]})


def check(page: Any, explorer: str, frame: Explored, token: tuple[int, int]) -> None:
    """The maps that are shown are those of this frame and token, as the library computes them."""
    assert frame.name in page.locator(explorer).text_content()
    maps = page.locator(explorer).evaluate("e => e.maps.map(m => [m.network, m.kind, m.rows.map(r => [...r])])")
    assert [(name, kind) for name, kind, _ in maps] == list(zip(frame.tokens, ("seg", "ftm"), strict=True))
    place = tuple((at + 0.5) / side for at, side in zip(token, GRID, strict=True))
    for name, kind, rows in maps:
        tokens = frame.tokens[name]
        for row, features in zip(rows, (getattr(tokens, kind), tokens.sr), strict=True):
            expected = affinity_to(torch.from_numpy(features)[None], place, GRID, normalise=True)
            np.testing.assert_allclose(np.reshape(row, GRID), expected, atol=2e-3)
            assert expected.std() > 0.05  # no flat map, which many places would share


def test_clicks_keys_and_the_slider_change_the_maps(jupyterlab, browser):
    split, networks = load_split("camvid", "val"), trained_networks("camvid")
    first, second = (explored(networks, split, index) for index in (0, 1))
    page, errors = browser.new_page(viewport={"width": 1280, "height": 1000}), []
    page.set_default_timeout(1000 * PATIENCE_S)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(jupyterlab)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_text("Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.locator(f"{STATIC} canvas").first.wait_for()
    click(page, STATIC, (9, 53))
    check(page, STATIC, first, (9, 53))
    page.keyboard.press("ArrowDown")
    check(page, STATIC, first, (10, 53))

    page.locator(f"{LIVE} canvas").first.wait_for(state="attached")  # at the start, without any move of the slider
    check(page, LIVE, first, (27, 30))
    click(page, LIVE, (20, 12))
    check(page, LIVE, first, (20, 12))
    page.locator(".widget-interact .noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    page.locator(LIVE).get_by_text(second.name).wait_for()
    click(page, LIVE, (30, 50))
    check(page, LIVE, second, (30, 50))
    assert errors == []
    page.close()
