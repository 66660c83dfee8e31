"""Look after run directories: list them, compare two, delete one, go on with one that was cut off."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsrl_lib import runs
from dsrl_lib.config import Config, override
from dsrl_lib.paths import results_dir

FIXED = ("optim.batch_size", "optim.optimizer", "optim.stage_epochs", "optim.precision")
"""Settings that a checkpoint cannot go on without; those of `data` and `model` are fixed too."""


def find_run(name: str) -> Path:
    """The directory of a run: its path, its id, or the start of an id that fits one run alone.

    ValueError where none or several fit.
    """
    if (Path(name) / "config.json").exists():
        return Path(name)
    every = (path.parent for path in results_dir().glob("*/runs/*/config.json"))
    found = sorted(path for path in every if path.name.startswith(name))
    exact = [path for path in found if path.name == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise ValueError(f"run {name!r} could be any of: {', '.join(path.name for path in found)}")
    raise ValueError(f"there is no run {name!r} in {results_dir()}; `python -m dsrl_lib runs` lists them")


def table(profile: str) -> str:
    """One line a run of a profile: id, state, epochs, mIoU on val and test in points."""
    lines = [f"{'run':68}{'state':14}{'epochs':>9}{'val':>8}{'test':>8}"]
    for folder in sorted((results_dir() / profile / "runs").glob("*/")):
        if (folder / "config.json").exists():
            config = runs.read_json(folder / "config.json")
            done, total = len(_history(folder)), config["optim"]["epochs"]
            complete = runs.is_complete(folder)
            metrics = runs.read_json(folder / "metrics.json") if complete else {}
            points = [f"{100 * metrics[split]['miou']:.2f}" if complete else "" for split in ("val", "test")]
            state = "complete" if complete else "cut off" if (folder / "last.pt").exists() else "not started"
            lines.append(f"{folder.name:68}{state:14}{f'{done}/{total}':>9}{points[0]:>8}{points[1]:>8}")
    return "\n".join(lines)


def compare(a: Path, b: Path) -> str:
    """The settings in which two runs differ, and their scores side by side."""
    first, second = (_flat(runs.read_json(path / "config.json")) for path in (a, b))
    lines = [f"{'':32}{a.name}  |  {b.name}"]
    for key in dict.fromkeys((*first, *second)):
        if first.get(key) != second.get(key):
            lines.append(f"{key:32}{first.get(key)}  |  {second.get(key)}")
    for split in ("val", "test"):
        shown = [
            f"{100 * runs.read_json(path / 'metrics.json')[split]['miou']:.2f}"
            if runs.is_complete(path)
            else "not complete"
            for path in (a, b)
        ]
        lines.append(f"{split + ' mIoU (points)':32}{'  |  '.join(shown)}")
    return "\n".join(lines)


def delete(directory: Path) -> None:
    """Delete a run directory. RunBusyError where a process writes it, ValueError for anything that is no run."""
    if not (directory / "config.json").exists():
        raise ValueError(f"{directory} is not a run directory: it has no config.json")
    with runs.acquire(directory):
        shutil.rmtree(directory)


def resume(
    directory: Path, changes: Sequence[str] = (), *, device: str = "auto", workers: int = 0, devices: int = 1
) -> Path:
    """Go on with a run that was cut off, exactly as it was, or with some settings changed; return its directory.

    changes: "optim.lr=0.005" and the like, of the schedule and the loss weights. A changed run is a new one, whose
    configuration says from which run and step it went on (`continues`); the old one stays as it is.
    """
    from dsrl_lib.training.fit import train  # lazy: the other commands of this file do without torch

    config = Config.from_dict(runs.read_json(directory / "config.json"))
    if runs.is_complete(directory):
        raise ValueError(f"{directory.name} is complete: there is nothing to resume")
    if changes:
        config = _branch(directory, config, changes)
    return train(config, device=device, workers=workers, devices=devices)


def _branch(directory: Path, config: Config, changes: Sequence[str]) -> Config:
    """Copy the checkpoint into the directory of the changed configuration."""
    from dsrl_lib.training import checkpoint

    if not checkpoint.exists(directory):
        raise ValueError(f"{directory.name} has no checkpoint yet: train it with the changed settings instead")
    changed = config
    for item in changes:
        key, _, value = item.partition("=")
        if key.startswith(("data.", "model.")) or key in FIXED:
            raise ValueError(f"{key} cannot change in the middle of a run; allowed: settings of optim and loss but "
                             f"{', '.join(FIXED)}")  # fmt: skip
        changed = override(changed, key, value)
    state = checkpoint.load(directory)
    changed = replace(changed, continues=f"{config.run_id}@{state['step']}")
    target = runs.folder(changed)
    if not checkpoint.exists(target) and not runs.is_complete(target):
        with runs.acquire(target):
            runs.prepare(target, changed)
            checkpoint.save(target, state | {"config": changed.to_dict()})
    return changed


def _history(folder: Path) -> list[dict[str, str]]:
    path = folder / "history.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
