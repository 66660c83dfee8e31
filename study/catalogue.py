"""Run directories in, tables out. Every score is computed again from the integer counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.metrics import iou, miou
from dsrl_lib.paths import results_dir
from dsrl_lib.runs import is_complete, read_json, write_atomically
from study.arms import ARMS, FA_ARMS
from study.presets import preset
from study.profiles import PROFILES, SEARCH_SEED

SPLITS = ("val", "test")
"""`test` is what is reported; for Cityscapes it is the official val split, whose labels are public."""


ENVIRONMENT = ("train_seconds", "peak_memory_mib", "device", "commit", "dirty")


class DamagedRunError(ValueError):
    """A file of a complete run cannot be read, or contradicts another; the message names it."""


@dataclass(frozen=True)
class Counts:
    """Integer counts of one split at the original label size. I images, K classes."""

    images: tuple[str, ...]
    sequences: tuple[str, ...]
    counts: np.ndarray
    """int (I, K, 3): true positives, false positives, false negatives."""
    trimap: np.ndarray
    """int (I, bands, K, 3): the same within trimap_px pixels of a class boundary."""
    trimap_px: np.ndarray
    """(bands,)"""
    object_recall: np.ndarray
    """int (K, size bins, 2): pixels of objects found, and pixels in all."""


@dataclass(frozen=True)
class Run:
    """One complete run directory."""

    folder: Path
    config: Mapping[str, Any]
    env: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def profile(self) -> str:
        return self.config["profile"]

    @property
    def arm(self) -> str:
        return self.config["arm"]

    @property
    def host(self) -> str:
        return self.config["model"]["host"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @cached_property
    def history(self) -> pd.DataFrame:
        """history.csv: one row an epoch."""
        path = self.folder / "history.csv"
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise DamagedRunError(f"{path} cannot be read: {error}") from None

    def counts(self, split: str) -> Counts:
        """Counts of "val" or "test", read from the disk at each call."""
        if split not in SPLITS:
            raise ValueError(f"split {split!r}; allowed: {', '.join(SPLITS)}")
        return _read_counts(self.folder / f"counts_{split}.npz")

    @cached_property
    def overrides(self) -> tuple[str, ...] | None:
        """What differs from the present preset: () for nothing, None if no preset gives this run any more."""
        return _overrides(self)

    @property
    def stale(self) -> str:
        """Why this run must not be reported, or "" if it may."""
        reasons = []
        if self.overrides is None:
            reasons.append("no present preset gives its configuration")
        if self.env.get("dirty") is not False:
            reasons.append("made from uncommitted code")
        return "; ".join(reasons)


def load_runs(profile: str) -> list[Run]:
    """Complete runs of a profile by run id, without unfinished ones. DamagedRunError names a bad file."""
    folders = sorted((results_dir() / profile / "runs").glob("*/"))
    return [_load(folder) for folder in folders if is_complete(folder)]


def select(
    runs: Iterable[Run], arm: str, host: str | None = None, overrides: Sequence[str] = ()
) -> list[Run]:
    """Runs of an arm by seed, without those of the search. host: the first of the profile unless given.

    overrides: as for `preset`.
    """
    found = [
        run for run in runs
        if run.arm == arm
        and run.seed != SEARCH_SEED
        and run.host == (host or PROFILES[run.profile].hosts[0])
        and run.overrides is not None
        and set(run.overrides) == set(overrides)
    ]  # fmt: skip
    return sorted(found, key=lambda run: run.seed)


def counts_by_seed(
    runs: Sequence[Run], what: str = "counts", split: str = "test"
) -> tuple[dict[int, np.ndarray], tuple[str, ...]]:
    """Counts of runs that differ in their seed, ready for `stats.score`, and the sequence of each image.

    what: "counts" for (I, K, 3), "trimap" for (I, bands, K, 3). Raises ValueError if two runs share a seed
    or were evaluated on different images.
    """
    if len({run.seed for run in runs}) != len(runs):
        raise ValueError(f"runs with equal seeds: {', '.join(run.run_id for run in runs)}")
    loaded = {run.seed: run.counts(split) for run in runs}
    if len({counts.images for counts in loaded.values()}) > 1:
        raise ValueError(f"runs evaluated on different images: {', '.join(run.run_id for run in runs)}")
    sequences = next((counts.sequences for counts in loaded.values()), ())
    return {seed: getattr(counts, what) for seed, counts in loaded.items()}, sequences


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run: mIoU and IoU in points from the counts, cost, and what it was made with."""
    return pd.DataFrame([_row(run) for run in runs])


def factorial(runs: Sequence[Run]) -> pd.DataFrame:
    """The FA factorial, a row a run: placement, ftm, normalisation, seed, test_miou; `dsrl` is a cell too."""
    rows = []
    for arm in ("dsrl", *FA_ARMS):
        for run in select(runs, arm):
            model, loss = run.config["model"], run.config["loss"]
            rows.append({
                "placement": model["fa_placement"],
                "ftm": model["ftm"],
                "normalisation": "norm" if loss["fa_normalise"] else "raw",
                "seed": run.seed,
                "test_miou": 100 * miou(run.counts("test").counts),
            })  # fmt: skip
    return pd.DataFrame(rows)


def write_results(profile: str) -> Path:
    """results/<profile>/results.csv; the same runs always give the same bytes."""
    path = results_dir() / profile / "results.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table(load_runs(profile)).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_atomically(path, lambda temporary: temporary.write_text(text))
    return path


def _row(run: Run) -> dict[str, Any]:
    data, model = run.config["data"], run.config["model"]
    val, test = run.counts("val"), run.counts("test")
    names = class_table(data["dataset"]).classes
    by_class = 100 * iou(test.counts.sum(0, dtype=np.int64))  # (K,)
    scale = model["input_scale"]
    return {
        "run_id": run.run_id,
        "host": run.host,
        "arm": run.arm,
        "seed": run.seed,
        "overrides": None if run.overrides is None else " ".join(run.overrides),
        "input": f"{round(data['height'] * scale)}x{round(data['width'] * scale)}",
        "epochs": run.config["optim"]["epochs"],
        "val_miou": 100 * miou(val.counts),
        "test_miou": 100 * miou(test.counts),
        **{f"iou_{name}": value for name, value in zip(names, by_class, strict=True)},
        **{f"test_{name}": run.metrics["test"].get(name) for name in ("psnr", "ssim")},
        **{name: value for name, value in sorted(run.metrics["cost"].items()) if name != "input"},
        **{name: run.env.get(name) for name in ENVIRONMENT},
        "stale": run.stale,
    }


def _load(folder: Path) -> Run:
    def read(name: str) -> dict[str, Any]:
        try:
            return read_json(folder / name)
        except (OSError, ValueError) as error:
            raise DamagedRunError(f"{folder / name} cannot be read: {error}") from None

    run = Run(folder, config=read("config.json"), env=read("env.json"), metrics=read("metrics.json"))
    try:
        name = f"{run.profile}-{run.host}-{run.arm}-s{run.seed}-"
    except (KeyError, TypeError) as error:
        raise DamagedRunError(f"{folder / 'config.json'} lacks {error}") from None
    if not folder.name.startswith(name):
        raise DamagedRunError(f"{folder / 'config.json'} is not the configuration that named this directory")
    return run


def _read_counts(path: Path) -> Counts:
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in Counts.__dataclass_fields__}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DamagedRunError(f"{path} cannot be read: {error}") from None
    counts, images = arrays["counts"], arrays["images"]
    lengths = {len(counts), len(images), len(arrays["sequences"]), len(arrays["trimap"])}
    if counts.ndim != 3 or counts.shape[-1] != 3 or len(lengths) != 1 or counts.min(initial=0) < 0:
        raise DamagedRunError(f"{path}: expected counts >= 0 (images, classes, 3) for {len(images)} images")
    names = {name: tuple(arrays[name].tolist()) for name in ("images", "sequences")}
    return Counts(**arrays | names)


def _overrides(run: Run) -> tuple[str, ...] | None:
    try:
        config = Config.from_dict(run.config)
        choice = {"profile": run.profile, "arm": run.arm, "host": run.host, "seed": run.seed}
        epochs = config.optim.epochs // ARMS[run.arm].updates
        longer = () if epochs == PROFILES[run.profile].base.optim.epochs else (f"optim.epochs={epochs}",)
        base = preset(**choice, overrides=longer)  # other settings follow the epochs
        changed = {
            f"{section}.{key}": value
            for section, values in config.to_dict().items() if isinstance(values, Mapping)
            for key, value in values.items() if value != base.to_dict()[section][key]
        }  # fmt: skip
        items = tuple(sorted((*longer, *(f"{key}={value}" for key, value in changed.items()))))
        again = preset(**choice, overrides=items)
    except (KeyError, ValueError):
        return None
    return items if again == config and again.run_id == run.run_id else None
