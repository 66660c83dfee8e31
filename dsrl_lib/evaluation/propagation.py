"""How good propagated labels are: against the true labels of later frames, in a video that is labelled as a whole."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from dsrl_lib import metrics
from dsrl_lib.data.propagation import Flow, FlowEstimator, consistent, motions, nearest_labels
from dsrl_lib.data.split import Split
from dsrl_lib.evaluation.details import boundary_distance
from dsrl_lib.metrics import VOID
from dsrl_lib.progress import bar

NEAR = 4
"""Pixels from a class boundary that count as near."""

Counts = tuple[np.ndarray, np.ndarray, int, int]
"""Of one pair: counts (K, 3) of all pixels, and of those near boundaries; the number of pixels kept, and labelled."""


def propagation_quality(
    split: Split,
    classes: int,
    steps: Sequence[int],
    flow: FlowEstimator,
    *,
    every: int = 1,
    direct: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """mIoU in percent of propagated labels against the true ones, one row per number of steps and form.

    split: consecutive frames of one video. steps: frames from the labelled one. every: frames from one that is
    propagated to the next one. direct: one flow over the whole distance, instead of the composed flows of neighbours.
    Forms: "no motion" takes the labels as they are, "flow" warps them, and "consistent" also checks the motion
    (`propagation.consistent`). Pixels that a form leaves void are not counted for it.
    Columns: `steps`, `form`, `pairs`, `mIoU`, `near` (mIoU within NEAR pixels of a true boundary) and `kept`, the
    percentage of the truly labelled pixels that are not void. ValueError for a video without any such pair.
    """
    if len(split) <= min(steps):
        raise ValueError(f"steps = {tuple(steps)}; allowed: at least one below {len(split)}, the frames of the video")
    pairs: dict[tuple[int, str], list[Counts]] = defaultdict(list)
    starts = range(0, len(split) - min(steps), every)
    # Starts that are close to each other share flows, in both directions; to estimate one takes long.
    between = lru_cache(2 * max(steps))(lambda first, second: flow(split.images[first], split.images[second]))
    for start in bar(starts, "propagate", disable=not progress):
        labels = np.asarray(split.labels[start])
        frames = range(start, min(start + max(steps) + 1, len(split)))
        for step, flows in _flows(frames, steps, between, direct):
            truth = np.asarray(split.labels[start + step])
            near = boundary_distance(truth) <= NEAR
            for form, found in _forms(labels, *flows).items():
                pairs[step, form].append(_counts(found, truth, near, classes))
    rows = [{"steps": step, "form": form} | _quality(counts) for (step, form), counts in pairs.items()]
    return pd.DataFrame(rows).sort_values("steps", kind="stable", ignore_index=True)


def label_quality(labels: Iterable[np.ndarray], truth: Iterable[np.ndarray], classes: int) -> dict[str, float]:
    """The columns from `pairs` on of `propagation_quality` for label maps (H, W), however they were made."""
    maps = ((np.asarray(found), np.asarray(true)) for found, true in zip(labels, truth, strict=True))
    counts = [_counts(found, true, boundary_distance(true) <= NEAR, classes) for found, true in maps]
    if not counts:
        raise ValueError("label_quality: there is no label map")
    return _quality(counts)


def _flows(
    frames: Sequence[int], steps: Sequence[int], flow: Callable[[int, int], Flow], direct: bool
) -> Iterator[tuple[int, tuple[Flow, Flow]]]:
    """Steps, as far as there are frames (by number), each with the motion from the first frame and back."""
    if not direct:
        yield from ((step, flows) for step, flows in enumerate(motions(frames, flow), start=1) if step in steps)
        return
    for step in sorted(set(steps)):
        if step < len(frames):
            yield step, next(motions([frames[0], frames[step]], flow))


def _forms(labels: np.ndarray, backward: np.ndarray, forward: np.ndarray) -> dict[str, np.ndarray]:
    moved = nearest_labels(labels, backward)
    checked = np.where(consistent(backward, forward), moved, VOID).astype(np.uint8)
    return {"no motion": labels, "flow": moved, "consistent": checked}


def _counts(found: np.ndarray, truth: np.ndarray, near: np.ndarray, classes: int) -> Counts:
    known = np.where(found == VOID, VOID, truth)
    whole, band = (metrics.counts(found[where], known[where], classes) for where in (..., near))
    return whole, band, int((known != VOID).sum()), int((truth != VOID).sum())


def _quality(pairs: Sequence[Counts]) -> dict[str, float]:
    whole, near, kept, labelled = map(np.stack, zip(*pairs, strict=True))
    scores = {"mIoU": 100 * metrics.miou(whole), "near": 100 * metrics.miou(near)}
    return {"pairs": len(pairs)} | scores | {"kept": 100 * int(kept.sum()) / max(int(labelled.sum()), 1)}
