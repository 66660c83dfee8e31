"""The tables with one row per run. Every score is computed again from the integer counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.metrics import iou, miou
from dsrl_lib.paths import results_dir
from dsrl_lib.records import write_atomically
from study.catalogue import Run, input_size, select, some_runs

ENVIRONMENT = ("train_seconds", "peak_memory_mib", "device", "commit", "dirty")
"""What results.csv shows of env.json."""


def results_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run: mIoU and IoU in points from the counts, cost, and what it was made with."""
    return pd.DataFrame([_row(run) for run in runs])


def factorial_cells(runs: Sequence[Run], arms: Sequence[str]) -> pd.DataFrame:
    """The FA factorial, one row per run: placement, ftm, normalisation, seed, test_miou. arms: its cells.

    Only of the seeds that all cells with runs share, so that a cell is no better by a seed that others lack.
    """
    found = {arm: chosen for arm in arms if (chosen := select(runs, arm))}
    shared = set.intersection(*({run.seed for run in chosen} for chosen in found.values())) if found else set()
    rows = []
    for chosen in found.values():
        for run in (run for run in chosen if run.seed in shared):
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
    """results/<profile>/results.csv; the same runs always give the same bytes. ValueError if there are none."""
    text = results_csv(some_runs(profile))
    path = results_dir() / profile / "results.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))
    return path


def results_csv(runs: Sequence[Run]) -> str:
    """The content of results.csv."""
    return results_frame(runs).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _row(run: Run) -> dict[str, Any]:
    val, test = run.counts("val"), run.counts("test")
    names = class_table(run.config["data"]["dataset"]).classes
    by_class = 100 * iou(test.counts.sum(0, dtype=np.int64))  # (K,)
    return {
        "run_id": run.run_id,
        "host": run.host,
        "arm": run.arm,
        "seed": run.seed,
        "overrides": None if run.overrides is None else " ".join(run.overrides),
        "input": input_size(run.config),
        "epochs": run.config["optim"]["epochs"],
        "val_miou": 100 * miou(val.counts),
        "test_miou": 100 * miou(test.counts),
        **{f"iou_{name}": value for name, value in zip(names, by_class, strict=True)},
        **{f"test_{name}": run.metrics["test"].get(name) for name in ("psnr", "ssim")},
        **{name: value for name, value in sorted(run.metrics["cost"].items()) if name != "input"},
        **{name: run.env.get(name) for name in ENVIRONMENT},
        "stale": run.stale,
    }
