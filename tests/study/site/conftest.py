"""The built site, for all tests of this folder."""

import os
import subprocess
from pathlib import Path

import pytest

from dsrl_lib.paths import root
from study.site import build


@pytest.fixture(scope="session")
def site(python_m, tmp_path_factory) -> Path:
    if build.missing_packages() and "CI" not in os.environ:
        pytest.skip(f"needs {', '.join(build.missing_packages())}")
    out = tmp_path_factory.mktemp("site")
    command = [*python_m, "study", "site", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "index.html")
    return out
