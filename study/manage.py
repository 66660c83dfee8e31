"""Look after run directories: list them, compare two, delete one."""

import csv
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dsrl_lib import runs
from dsrl_lib.paths import results_dir
from dsrl_lib.records import read_json


def runs_table(profile: str) -> str:
    """One line per run of a profile: id, state, epochs, mIoU on val and test in points; or what is damaged in it.

    Without any run: where they would be.
    """
    lines = [f"{'run':68}{'state':14}{'epochs':>9}{'val':>8}{'test':>8}"]
    where = results_dir() / profile / "runs"
    for folder in sorted(path.parent for path in where.glob("*/config.json")):
        try:
            lines.append(f"{folder.name:68}{_state(folder)}")
        except (ValueError, OSError) as error:
            lines.append(f"{folder.name:68}damaged: {error}")
    if len(lines) == 1:
        return f"there are no runs in {where}"
    return "\n".join(lines)


def run_of(name: str, profile: str | None) -> Path:
    """The directory of a run (`find_run`). ValueError if a profile is given, and the run is none of it."""
    directory = runs.find_run(name)
    if profile is not None and (found := runs.read_config(directory / "config.json").profile) != profile:
        raise ValueError(f"profile = {profile!r}, but {directory.name} is a run of {found}")
    return directory


def _state(folder: Path) -> str:
    config = read_json(folder / "config.json", {"optim": {"epochs": int}})
    epochs = f"{len(_history(folder))}/{config['optim']['epochs']}"
    complete = runs.is_complete(folder)
    points = [_points(folder, split) if complete else "" for split in ("val", "test")]
    state = "complete" if complete else "cut off" if (folder / "last.pt").exists() else "not started"
    return f"{state:14}{epochs:>9}{points[0]:>8}{points[1]:>8}"


def compare(a: Path, b: Path) -> str:
    """The settings in which two runs differ, and their scores side by side."""
    first, second = (_flat(runs.read_config(path).to_dict()) for path in (a, b))
    lines = [f"{'':32}{a.name}  |  {b.name}"]
    for key in dict.fromkeys((*first, *second)):
        if first.get(key) != second.get(key):
            lines.append(f"{key:32}{first.get(key)}  |  {second.get(key)}")
    for split in ("val", "test"):
        shown = [_points(path, split) if runs.is_complete(path) else "not complete" for path in (a, b)]
        lines.append(f"{split + ' mIoU (points)':32}{'  |  '.join(shown)}")
    return "\n".join(lines)


def started_from(directory: Path) -> list[str]:
    """Ids of the runs beside this one that start from its weights. What cannot be read starts from none."""
    found = []
    for path in sorted(directory.parent.glob("*/config.json")):
        with suppress(ValueError, OSError):
            if read_json(path, {"warm_start?": str | None}).get("warm_start") == directory.name:
                found.append(path.parent.name)
    return found


def delete(directory: Path) -> None:
    """Delete a run directory. RunBusyError where a process writes it, ValueError for anything that is no run."""
    if not (directory / "config.json").exists() or directory.absolute().parent.name != "runs":
        raise ValueError(f"{directory} is not a run: those are folders of results/PROFILE/runs with a config.json")
    with runs.acquire(directory):
        shutil.rmtree(directory)


def _points(folder: Path, split: str) -> str:
    """The mIoU of a complete run, or a dash if its split has no labelled pixel."""
    score = read_json(folder / "metrics.json", runs.METRICS)[split]["miou"]
    return "-" if score is None else f"{100 * score:.2f}"


def _history(folder: Path) -> list[dict[str, str]]:
    path = folder / "history.csv"
    try:
        return list(csv.DictReader(path.read_text(errors="replace").splitlines())) if path.exists() else []
    except csv.Error as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
