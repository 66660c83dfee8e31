"""Where a run's numbers come from: the commit of the code and the versions of the packages, in every process."""

import subprocess
from collections.abc import Sequence
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


def of_all(processes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What env.json says of the processes that trained a run, of which the last one completed it.

    processes: `provenance` and device of each. Returns those of the last one, with `dirty` if the code of any was (None
    if one is unknown), and `earlier` with the others, if there are any.
    """
    *earlier, last = processes
    dirty: bool | None = any(each["dirty"] for each in processes)
    if not dirty and any(each["dirty"] is None for each in processes):
        dirty = None
    return last | {"dirty": dirty} | ({"earlier": earlier} if earlier else {})


def _git(*arguments: str) -> str | None:
    if SHIPPED.is_dir():  # the working folder may be another repository
        return None
    command = ["git", "-C", str(root()), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
