"""A run is a directory: results/<profile>/runs/<run_id>/. This file knows its contents; it never imports torch.

config.json  the whole configuration          history.csv     one row per epoch
env.json     where and with what it ran       counts_*.npz    per-image counts of a split
last.pt      everything needed to resume      metrics.json    written last: it exists exactly when the run is complete
start.json   what a run that starts from a file of weights took from it (`training.start`)
final.safetensors   the weights
"""

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from filelock import FileLock, Timeout

from dsrl_lib.allowed import between
from dsrl_lib.config import Config
from dsrl_lib.paths import in_checkout, released_dir, results_dir
from dsrl_lib.records import PARTIAL, read_json, write_atomically, write_json

GRADIENT_COLUMNS = ("gradient", "share")
"""Before the name of a term: the norm of its gradient on the shared encoder, and its share of the sum of the norms."""

OLD_TERMS = ("ce", "aux", "mse", "fa")
"""Terms of the loss that have a column in every history.csv."""

_SHARE = Annotated[float, between(0, 1)]
_SCORES = {"miou": _SHARE | None, "iou?": list[_SHARE | None], "*": float | None}
METRICS = {"val": _SCORES, "test": _SCORES, "cost?": {"input?": list[int], "*": float | bool | None}}
"""What metrics.json holds (`allowed.check_fields`). A score is null if no pixel is labelled."""
ENVIRONMENT = {
    "device?": str, "dirty?": bool | None, "commit?": str | None, "threads?": int, "train_seconds?": float,
    "peak_memory_mib?": float | None, "data?": {"*": str}, "loss_weights?": {"*": float}, "earlier?": list[dict],
}  # fmt: skip
"""What env.json holds."""


WEIGHTS = "final.safetensors"
"""The file of a run's final weights."""
STATE_DICTS = (".pth", ".pt")
"""Ends of the names of files that hold a plain state dict."""
SUFFIXES = (".safetensors", *STATE_DICTS)
"""Of all files of weights; the first is that of this library."""
LISTED = in_checkout("; `python -m study runs` lists them")


class RunBusyError(RuntimeError):
    """Another process is writing the run."""


def folder(config: Config) -> Path:
    """The directory of a run; it need not exist."""
    return results_dir() / config.profile / "runs" / config.run_id


def read_config(path: Path) -> Config:
    """The configuration of a run directory, or in a JSON file.

    ValueError that names the file, if it holds none, or in a directory that of another run; FileNotFoundError.
    """
    file = path / "config.json" if path.is_dir() else path
    if not file.exists():
        raise FileNotFoundError(f"there is no configuration {file}; give a run directory, or a JSON file of settings")
    values = read_json(file)
    try:
        config = Config.from_dict(values)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if file != path and config.run_id != path.resolve().name:
        raise ValueError(
            f"{file} was changed: it is the configuration of {config.run_id}. Put back what it was, and give changes "
            "as --set SECTION.KEY=VALUE"
        )
    return config


def chain(run: Config | Path) -> list[Config]:
    """The configurations from the first stage to `run`, a configuration or a run directory.

    Each names the run that it starts from (`warm_start`), which lies beside it. ValueError if that one is not there,
    or if its config.json is that of another run.
    """
    config, beside = (run, folder(run).parent) if isinstance(run, Config) else (read_config(run), run.parent)
    stages = [config]
    while (name := stages[0].warm_start) is not None:
        if not (beside / name / "config.json").exists():
            raise ValueError(f"{stages[0].run_id} starts from the run {name}, which is not in {beside}")
        stages.insert(0, read_config(beside / name))
    return stages


def start_weights(config: Config, run_id: str) -> Path:
    """The final weights of the run `run_id`, from which that of `config` starts.

    FileNotFoundError, with what to do about it, if they are missing.
    """
    directory = folder(config).parent / run_id
    weights = directory / WEIGHTS
    if not is_complete(directory):
        raise FileNotFoundError(
            f"{config.run_id} starts from the run {run_id}, which is not complete in {directory.parent}: "
            "train that one first" + in_checkout("; `python -m study train` trains an arm with all that it starts from")
        )
    if not weights.exists():
        raise FileNotFoundError(f"{config.run_id} starts from the run {run_id}, and {missing_weights(weights)}")
    return weights


def weights_file(path: Path) -> Path:
    """The file of weights that a path names: that of a run directory, or the path itself."""
    return path / WEIGHTS if path.is_dir() else path


def released_weights(run_id: str, *, whole: bool = False) -> Path | None:
    """The released file of a run; None if it is not released. whole: which one, where it is both whole and pruned."""
    records = {path: path.with_suffix(".json") for path in sorted(released_dir().glob("*.safetensors"))}
    known = {
        path: read_json(record, {"run": str, "whole": bool}) for path, record in records.items() if record.exists()
    }
    of_run = {record["whole"]: path for path, record in known.items() if record["run"] == run_id}
    return of_run.get(whole, of_run.get(not whole))


def missing_weights(path: Path) -> str:
    """What to say about weights that are not at `path`; of a run, how to get them."""
    if is_complete(path.parent):
        released = released_weights(path.resolve().parent.name)
        ready = f"; for inference they are released as {released.stem}" if released else ""
        return (
            f"{path} is missing, though that run is complete: weights are not kept in git{ready}. Copy the file from "
            "where the run was trained, or train the run again with DSRL_RESULTS set to a new folder, which leaves "
            "this one as it is"
        )
    if (path.parent / "config.json").exists():
        return f"weights {path} do not exist: to complete the run, `python -m dsrl_lib resume {path.parent.name}`"
    return f"weights {path} do not exist"


def print_run(directory: Path) -> None:
    """The directory of a complete run on stdout; on stderr, how to get its weights if they are not there."""
    print(directory)
    if not (weights := directory / WEIGHTS).exists():
        print(f"note: {missing_weights(weights)}", file=sys.stderr)


def find_run(name: str) -> Path:
    """The directory of a run: its path, its id, or the start of an id that fits one run alone.

    ValueError if none or several fit.
    """
    if not name.strip():
        raise ValueError("an empty name is no run" + LISTED)
    if (Path(name) / "config.json").exists():
        return Path(os.path.abspath(name))  # "." has no name
    every = (path.parent for path in results_dir().glob("*/runs/*/config.json"))
    found = sorted(path for path in every if path.name.startswith(name))
    exact = [path for path in found if path.name == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise ValueError(f"run {name!r} could be any of: {', '.join(path.name for path in found)}")
    raise ValueError(f"there is no run {name!r} in {results_dir()}{LISTED}")


def is_complete(directory: Path) -> bool:
    """Whether the run was finished."""
    return (directory / "metrics.json").exists()


def prepare(directory: Path, config: Config) -> None:
    """Write config.json, by which another process can take up the run."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config.to_dict())


@contextmanager
def acquire(directory: Path, wait: bool = False) -> Iterator[None]:
    """Hold the run's lock. Where another process has it: say so and wait for it, or raise RunBusyError.

    The system releases the lock when its process dies.
    """
    directory.mkdir(parents=True, exist_ok=True)
    held = FileLock(directory / ".lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        busy = f"{directory.name} is being written by another process"
        if not wait:
            raise RunBusyError(f"{busy}; wait for it or stop it") from None
        print(f"{busy}: waiting for it", file=sys.stderr, flush=True)
        held.acquire(timeout=-1)
    try:
        for left in directory.glob(f".*{PARTIAL}"):  # by a process that was killed
            left.unlink()
        yield
    finally:
        held.release()


def write_history(path: Path, rows: Iterable[Mapping[str, Any]], terms: Iterable[str]) -> None:
    """history.csv: one row per epoch. terms: keys of the loss terms, weighted as they enter the loss.

    A cell is blank if the run has no such term, or if the epoch was not validated. A term that is none of OLD_TERMS has
    a column only in a run that has it. What was measured of the gradients (GRADIENT_COLUMNS), the calibrated weights
    and the error of predicted locations come last, if there are any.
    """
    rows = list(rows)
    terms = [term for term in terms if term in OLD_TERMS or any(term in row for row in rows)]
    columns = ["epoch", "step", "lr", "loss", *terms, "images_per_s", "val_miou", "val_psnr"]
    measured = [f"{column}_{term}" for column in GRADIENT_COLUMNS for term in terms]
    measured += ["w1", "w2", "val_location_error"]
    columns += [column for column in measured if any(column in row for row in rows)]

    def write(temporary: Path) -> None:
        with open(temporary, "w", newline="") as file:
            table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            table.writeheader()
            for row in rows:
                table.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})

    write_atomically(path, write)


def write_counts(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """counts_<split>.npz, compressed, readable without pickle."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # none is named allow_pickle

    write_atomically(path, write)
