"""How good propagated labels are: against the true labels of later frames, in a video that is labelled as a whole."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from dsrl_lib import metrics
from dsrl_lib.data.propagation import FlowEstimator, consistent, motions, nearest_labels
from dsrl_lib.data.split import Split
from dsrl_lib.evaluation.details import boundary_distance
from dsrl_lib.metrics import VOID
from dsrl_lib.progress import bar

NEAR = 4
"""Pixels from a class boundary that count as near."""


def propagation_quality(
    split: Split, classes: int, steps: Sequence[int], flow: FlowEstimator, *, every: int = 1, progress: bool = True
) -> pd.DataFrame:
    """mIoU in percent of propagated labels against the true ones, one row per number of steps and form.

    split: consecutive frames of one video. steps: frames from the labelled one. every: how many frames lie between
    those that are propagated. Forms: "no motion" takes the labels as they are, "flow" warps them, and "consistent" also
    checks the motion (`propagation.consistent`). Pixels that a form leaves void are not counted for it.
    Columns: `steps`, `form`, `pairs`, `mIoU`, `near` (mIoU within NEAR pixels of a true boundary) and `kept`, the
    percentage of the truly labelled pixels that are not void.
    """
    sums: dict[tuple[int, str], list] = {}
    starts = range(0, len(split) - min(steps), every)
    for start in bar(starts, "propagate", disable=not progress):
        labels = np.asarray(split.labels[start])
        frames = [split.images[i] for i in range(start, min(start + max(steps) + 1, len(split)))]
        for step, flows in enumerate(motions(frames, flow), start=1):
            if step in steps:
                truth = np.asarray(split.labels[start + step])
                near = boundary_distance(truth) <= NEAR
                for form, found in _forms(labels, *flows).items():
                    added = _counts(found, truth, near, classes)
                    before = sums.get((step, form), [0] * len(added))
                    sums[step, form] = [one + other for one, other in zip(before, added, strict=True)]
    rows = [{"steps": step, "form": form} | _quality(*total) for (step, form), total in sums.items()]
    return pd.DataFrame(rows).sort_values("steps", kind="stable", ignore_index=True)


def label_quality(labels: Iterable[np.ndarray], truth: Iterable[np.ndarray], classes: int) -> dict[str, float]:
    """The columns from `pairs` on of `propagation_quality` for label maps (H, W), however they were made."""
    total: list | None = None
    for found, true in zip(labels, map(np.asarray, truth), strict=True):
        added = _counts(np.asarray(found), true, boundary_distance(true) <= NEAR, classes)
        total = [one + other for one, other in zip(total or [0] * len(added), added, strict=True)]
    if total is None:
        raise ValueError("label_quality: there is no label map")
    return _quality(*total)


def _forms(labels: np.ndarray, backward: np.ndarray, forward: np.ndarray) -> dict[str, np.ndarray]:
    moved = nearest_labels(labels, backward)
    checked = np.where(consistent(backward, forward), moved, VOID).astype(np.uint8)
    return {"no motion": labels, "flow": moved, "consistent": checked}


def _counts(
    found: np.ndarray, truth: np.ndarray, near: np.ndarray, classes: int
) -> tuple[int, np.ndarray, np.ndarray, int, int]:
    """1 pair; counts (K, 3) of all pixels, and of those near boundaries; pixels kept, and labelled."""
    known = np.where(found == VOID, VOID, truth)
    guess = np.where(found == VOID, 0, found)  # not counted
    whole, band = (metrics.counts(guess[where], known[where], classes).astype(np.int64) for where in (..., near))
    return 1, whole, band, int((known != VOID).sum()), int((truth != VOID).sum())


def _quality(pairs: int, whole: np.ndarray, near: np.ndarray, kept: int, labelled: int) -> dict[str, float]:
    return {"pairs": pairs, "mIoU": _miou(whole), "near": _miou(near), "kept": 100 * kept / max(labelled, 1)}


def _miou(counts: np.ndarray) -> float:
    return 100 * float(np.nanmean(metrics.iou(counts)))
