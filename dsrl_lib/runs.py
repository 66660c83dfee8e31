"""A run is a directory: results/<profile>/runs/<run_id>/. This file knows its contents; it never imports torch.

config.json  the whole configuration          history.csv     one row an epoch
env.json     where and with what it ran       counts_*.npz    per-image counts of a split
last.pt      everything needed to resume      metrics.json    written last: it exists exactly when the run is complete
"""

import csv
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from dsrl_lib.config import Config
from dsrl_lib.paths import results_dir, root

HISTORY = ("epoch", "step", "lr", "loss", "ce", "aux", "mse", "fa", "images_per_s", "val_miou", "val_psnr")
PACKAGES = ("torch", "torchvision", "numpy", "numba", "timm", "safetensors")


class RunBusyError(RuntimeError):
    """Another process is writing the run."""


def folder(config: Config) -> Path:
    """The directory of a run; it need not exist."""
    return results_dir() / config.profile / "runs" / config.run_id


def is_complete(directory: Path) -> bool:
    """Whether the run was finished."""
    return (directory / "metrics.json").exists()


def lock(directory: Path) -> FileLock:
    """The lock under which a run is written. The system releases it when its process dies."""
    directory.mkdir(parents=True, exist_ok=True)
    return FileLock(directory / ".lock", timeout=0)


def prepare(directory: Path, config: Config) -> None:
    """Write config.json, by which another process can take up the run."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config.to_dict())


def acquire(directory: Path, wait: bool = False) -> FileLock:
    """Take the run's lock. Where another process has it: say so and wait for it, or raise RunBusyError."""
    held = lock(directory)
    try:
        held.acquire(timeout=0)
    except Timeout:
        busy = f"{directory.name} is being written by another process"
        if not wait:
            raise RunBusyError(f"{busy}; wait for it or stop it") from None
        print(f"{busy}: waiting for it", file=sys.stderr, flush=True)
        held.acquire(timeout=-1)
    return held


def write_atomically(path: Path, write: Any, keep: Path | None = None) -> None:
    """Call write(temporary path), flush it to disk and rename it to `path`: a reader never sees half a file.

    keep: a name for what was at `path` before.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        room = "; make room and give the same command again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OSError(
            error.errno, f"cannot write {path}: {error.strerror}; what was there before is kept{room}"
        ) from error
    except BaseException:  # what was to be written could not be made
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Sorted, indented JSON, written by rename. NaN is stored as null."""
    text = json.dumps(_without_nan(values), indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    """The inverse of `write_json`; ValueError names a damaged file."""
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def write_history(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """history.csv: loss terms are weighted, as they enter the loss; a cell is blank where a term is absent."""

    def write(temporary: Path) -> None:
        with open(temporary, "w", newline="") as file:
            table = csv.DictWriter(file, HISTORY, restval="", lineterminator="\n")
            table.writeheader()
            for row in rows:
                table.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})

    write_atomically(path, write)


def write_counts(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """counts_<split>.npz, compressed, readable without pickle."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)


def environment() -> dict[str, Any]:
    """The code and packages of this process: git commit and dirty flag of the library, versions."""
    return {"commit": _git("rev-parse", "HEAD"), "dirty": _dirty(), "packages": {p: version(p) for p in PACKAGES}}


def _dirty() -> bool | None:
    changes = _git("status", "--porcelain", "--", "dsrl_lib", "study", "streets", "benchmarks", "notebooks")
    return None if changes is None else bool(changes)


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(root()), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
