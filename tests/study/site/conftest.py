"""The built site and a browser, for all tests of this folder."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium

from dsrl_lib.paths import root
from study.site import build


@pytest.fixture(scope="session")
def site(python_m, tmp_path_factory) -> Path:
    if build.missing_packages() and "CI" not in os.environ:
        pytest.skip(f"needs {', '.join(build.missing_packages())}")
    out = tmp_path_factory.mktemp("site")
    (out / ".nojekyll").write_text(".nojekyll\ngone.html\n")  # of an earlier build
    (out / "gone.html").touch()
    command = [*python_m, "study", "site", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "index.html")
    return out


@pytest.fixture(scope="module")  # its event loop would stand in the way of other files
def browser() -> Iterator[Any]:
    found = chromium()
    from playwright.sync_api import sync_playwright  # lazy: optional

    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()
