"""Where a run's numbers come from: the commit of the code and the versions of the packages."""

import subprocess
from importlib.metadata import version
from typing import Any

from dsrl_lib.paths import SHIPPED, root

PACKAGES = ("torch", "torchvision", "numpy", "numba", "timm", "safetensors")
CODE = ("dsrl_lib", "study", "streets", "benchmarks", "notebooks")
"""Folders whose uncommitted changes make a run `dirty`."""


def provenance() -> dict[str, Any]:
    """Commit, whether the code differs from it, and versions. Commit and `dirty` are None without a repository."""
    changes = _git("status", "--porcelain", "--", *CODE)
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "packages": {package: version(package) for package in PACKAGES},
    }


def _git(*arguments: str) -> str | None:
    if SHIPPED.is_dir():  # the working folder may be another repository
        return None
    command = ["git", "-C", str(root()), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
