"""The tables of 00_start_here and 01_data_prep: arms, notebooks, what is complete, the splits of a data set."""

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from dsrl_lib.data.class_tables import VOID, ClassTable
from dsrl_lib.paths import results_dir, root
from study.arms import ARMS, FA_ARMS, FA_SHARE_ARMS
from study.catalogue import load_runs, select
from study.figures.notes import Note
from study.profiles import PROFILES
from study.report.results import results_frame


class Frames(Protocol):
    """What is read of a `dsrl_lib.data.split.Split`, which would load PyTorch."""

    sequences: Sequence[str]
    labels: Sequence[np.ndarray]
    manifest_hash: str

    def __len__(self) -> int: ...


FROM_PRESET = {
    "mac_matched": "input_scale at the MACs of host and head",
    "latency_matched": "input_scale at the time of host and head",
    "uniform_macs": "input_scale at the MACs of host and auxiliary network",
    "relaxed_off": "relax_epochs at four sevenths of the epochs",
}
"""What `study.presets` sets in these arms, by host, data set and schedule."""
TO_READ = {
    "notebooks/41_main_results.ipynb": "the verdicts, executed",
    "claims.csv": "one row per part of a claim",
    "results.csv": "one row per run",
    "notebooks/runs": "every training run as an executed notebook",
}


def arm_table(profile: str) -> Note:
    """One row per arm of a profile, and per arm that one of them starts from: what it isolates, changes, starts from.

    Without the cells of the FA factorial.
    """
    shown = set(PROFILES[profile].arm_seeds)
    while more := {before for arm in shown if (before := ARMS[arm].after)} - shown:
        shown |= more
    rows = {arm: _described(arm) for arm in ARMS if arm in shown and arm not in FA_ARMS + FA_SHARE_ARMS}
    return Note.table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm"))


def arm_summary(arm: str) -> str:
    """The row of `arm_table` of one arm, as text."""
    return "\n".join(f"{name}: {value}" for name, value in ({"arm": arm} | _described(arm)).items() if value)


def notebook_table() -> Note:
    """The title of each notebook, by its name."""
    titles = {}
    for path in sorted((root() / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"]).splitlines()[0]
        titles[path.stem] = first.partition(" · ")[2]
    return Note.table(pd.Series(titles, name="what it shows").to_frame().rename_axis("notebook"))


def completion_table(profile: str) -> Note:
    """One row per arm of a profile: how many of the planned seeds are complete, and their mean mIoU in points."""
    runs = load_runs(profile)
    rows = {}
    for arm, planned in PROFILES[profile].arm_seeds.items():
        found = select(runs, arm)
        scores = results_frame(found)
        rows[arm] = {
            "seeds": f"{len(found)} of {len(planned)}",
            "val mIoU": f"{scores['val_miou'].mean():.1f}" if found else "",
            "test mIoU": f"{scores['test_miou'].mean():.1f}" if found else "",
        }
    return Note.table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm"))


def reading_list(profile: str) -> Note:
    """The files of results/<profile> that answer most, and whether they exist."""
    folder = results_dir() / profile
    states = {place: "" if (folder / place).exists() else " (not made yet)" for place in TO_READ}
    return Note("\n".join(f"- `results/{profile}/{place}`: {TO_READ[place]}{states[place]}" for place in TO_READ))


def split_table(splits: Mapping[str, Frames]) -> pd.DataFrame:
    """One row per split: frames, sequences, size, share of void, and the hash that every run records."""
    return pd.DataFrame({
        name: {
            "frames": len(split),
            "sequences": len(set(split.sequences)),
            "height x width": "{} x {}".format(*split.labels[0].shape),
            "void": f"{100 * np.mean([(label == VOID).mean() for label in split.labels]):.1f} %",
            "manifest": split.manifest_hash[:12],
        }
        for name, split in splits.items()
    }).T  # fmt: skip


def class_shares(splits: Mapping[str, Frames], table: ClassTable) -> pd.DataFrame:
    """Share of the labelled pixels in percent, one row per class, most frequent first; one column per split."""
    classes = len(table.classes)
    pixels = {}
    for name, split in splits.items():
        counts = (np.bincount(label.ravel(), minlength=256)[:classes] for label in split.labels)
        pixels[name] = sum(counts, np.zeros(classes, int))
    shares = pd.DataFrame({name: 100 * count / count.sum() for name, count in pixels.items()}, index=table.classes)
    return shares.sort_values(shares.columns[0], ascending=False)


RARE = 1.0
"""Percent of the training pixels below which a class is rare."""


def rare_classes(shares: pd.DataFrame) -> Note:
    """The classes below RARE percent of the training pixels, with their shares in each split. shares: `class_shares`.

    Then the class whose share differs most between val and test, since it lets these two disagree.
    """
    rare = shares[shares["train"] < RARE]
    told = [
        f"{name} ({', '.join(f'{value:.1f} % of {split}' for split, value in row.items())})"
        for name, row in rare.iterrows()
    ]
    lines = [
        f"Each of {len(shares)} classes has an equal part in mIoU. Below {RARE:g} % of train: "
        f"{', '.join(told) or 'no class'}."
    ]
    both = shares.loc[(shares[["val", "test"]] > 0).all(axis=1), ["val", "test"]]
    if len(both):
        ratios = both.max(axis=1) / both.min(axis=1)
        name = ratios.idxmax()
        more, less = both.loc[name].idxmax(), both.loc[name].idxmin()
        lines.append(f"{name} differs most between them: {more} has {ratios.max():.1f} times the share of {less}.")
    return Note(" ".join(lines))


def _described(arm: str) -> dict[str, object]:
    definition = ARMS[arm]
    settings = {**definition.changes, **definition.tuned}
    changes = [f"{key.partition('.')[2]} = {value}" for key, value in settings.items()]
    changes += [FROM_PRESET[arm]] if arm in FROM_PRESET else []
    return {
        "isolates": definition.isolates,
        "changes": ", ".join(changes) or "nothing",
        "starts from": definition.after or "",
        "units trained": definition.updates,
    }
