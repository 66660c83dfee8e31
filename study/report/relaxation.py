"""Label relaxation and class-uniform sampling in numbers: how many pixels they change, and which runs are missing."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from dsrl_lib.data.class_tables import VOID, ClassTable
from study.arms import RELAXATION_ARMS
from study.evidence import Study
from study.figures.notes import Note
from study.profiles import PROFILES


class Drawn(Protocol):
    """What is read of a `dsrl_lib.data.sampling.Draw`."""

    frame: int
    label: int | None


class Crops(Protocol):
    """What is read of a `dsrl_lib.TrainingSet`, which would load PyTorch."""

    def __len__(self) -> int: ...

    def draw(self, key: tuple[int, int]) -> Drawn: ...

    def labels(self, key: tuple[int, int]) -> np.ndarray: ...


def relaxed_shares(
    labels: Sequence[np.ndarray], sets: Mapping[str, Sequence[np.ndarray]], table: ClassTable
) -> pd.DataFrame:
    """Percent of the pixels of each class at which several classes are right, then of all of them together.

    labels: (H, W) class ids. sets: by name of the column, for each label map the classes that are right, as bits. The
    last row is the share of the void pixels that take part at all.
    """
    columns = {}
    for name, maps in sets.items():
        soft = [bits & (bits - 1) != 0 for bits in maps]  # (H, W) each
        shares = [_percent(soft, [label == c for label in labels]) for c in range(len(table.classes))]
        shares.append(_percent(soft, [label != VOID for label in labels]))
        columns[name] = [*shares, _percent([bits != 0 for bits in maps], [label == VOID for label in labels])]
    rows = [*table.classes, "all labelled pixels", "void pixels that take part"]
    return pd.DataFrame(columns, index=pd.Index(rows, name="class"))


def crop_counts(crops: Crops, table: ClassTable, epochs: int = 3) -> np.ndarray:
    """Pixels of each class in each crop of the first epochs of a training set: (epochs x frames, K)."""
    keys = ((epoch, number) for epoch in range(epochs) for number in range(len(crops)))
    maps = (np.asarray(crops.labels(key)) for key in keys)
    return np.stack([np.bincount(label.ravel(), minlength=256)[: len(table.classes)] for label in maps])


def class_draws(crops: Crops, table: ClassTable, epochs: int = 3) -> pd.DataFrame:
    """How many samples of the first epochs are drawn for each class, and how many of these are frames of the boost."""
    draws = [crops.draw((epoch, number)) for epoch in range(epochs) for number in range(len(crops))]
    found = [(draw.label, draw.frame >= len(crops)) for draw in draws if draw.label is not None]
    counted = pd.DataFrame(found, columns=["class", "coarse"]).groupby("class")["coarse"].agg(["size", "sum"])
    counted.index = pd.Index([table.classes[int(c)] for c in counted.index], name="class")
    return counted.rename(columns={"size": "samples drawn for it", "sum": "of them coarse frames"})


def crop_shares(counts: Mapping[str, np.ndarray], table: ClassTable) -> pd.DataFrame:
    """Share of each class in the labelled pixels of crops, in percent, most frequent first.

    counts: by the name of the column, what `crop_counts` gives.
    """
    columns = {name: 100 * found.sum(0) / found.sum() for name, found in counts.items()}
    shares = pd.DataFrame(columns, index=pd.Index(table.classes, name="share of pixels (%)"))
    return shares.sort_values(shares.columns[0], ascending=False)


def crops_with_class(counts: Mapping[str, np.ndarray], table: ClassTable) -> pd.DataFrame:
    """Percent of the crops that show each class. Arguments as for `crop_shares`."""
    columns = {name: 100 * (found > 0).mean(0) for name, found in counts.items()}
    return pd.DataFrame(columns, index=pd.Index(table.classes, name="crops that show it (%)"))


def relaxation_runs(study: Study) -> Note:
    """The commands of the runs of label relaxation that the profile plans and lacks, one line per arm."""
    planned = PROFILES[study.profile].arm_seeds
    lines = []
    for arm in RELAXATION_ARMS:
        if missing := sorted(set(planned.get(arm, ())) - study.seeds([arm])):
            command = f"python -m study train --profile {study.profile} --arm {arm} --seed $seed"
            lines.append(f"for seed in {' '.join(map(str, missing))}; do {command}; done")
    if lines:
        return Note("\n".join(["Not run yet:", "```bash", *lines, "```"]))
    absent = [arm for arm in RELAXATION_ARMS if arm not in planned]
    if len(absent) == len(RELAXATION_ARMS):
        return Note("This profile plans no run of it.")
    others = f" It does not plan {' and '.join(absent)}." if absent else ""
    return Note(f"All runs of label relaxation that this profile plans are complete.{others}")


def _percent(which: Sequence[np.ndarray], among: Sequence[np.ndarray]) -> float:
    total = sum(int(part.sum()) for part in among)
    found = sum(int((a & b).sum()) for a, b in zip(which, among, strict=True))
    return 100 * found / total if total else float("nan")
