"""Where an arm gains: boundaries, object sizes, reconstruction, frames (43_where_it_helps, 44_what_decides)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from study.evidence import Pair, Study
from study.figures import arm_plots
from study.figures.gain_panels import size_gains, trimap_gains
from study.figures.interval_charts import ring_labels, rings
from study.figures.notes import Note, ends, signed
from study.report import reconstruction, tables
from study.report.comparison import COMPARED, UPPER_BOUND, WHOSE_LOSSES_ACT
from study.report.readable import readable
from study.statistics.bootstrap import Difference

BOUNDARY_ARMS = ("lr", "bilinear", "sssr_long", "sssr_sisr_long", "dsrl", UPPER_BOUND)
CLOSE = 4
"""Pixels from a boundary within which REPORT.md and README.md give gains."""
RIVALS = ("bilinear", "sssr_long", "lr")
"""Without SISR and FA: the rival of the charts, whose weights are released, if it was run."""


def trimap_table(study: Study, arms: Sequence[str] = BOUNDARY_ARMS) -> Note:
    """mIoU over the pixels within each distance of a class boundary, one row per arm."""
    bands = {arm: value.estimate for arm in arms if (value := study.single(arm, "trimap")) is not None}
    if not bands:
        return Note("No runs.")
    table = pd.DataFrame(bands, index=[f"within {n} px" for n in _trimap_px(study)]).T
    return Note.table(readable(table.rename_axis("mIoU in points")))


def trimap_chart(study: Study, baseline: str = "bilinear", arms: Sequence[str] = BOUNDARY_ARMS) -> Figure | Note:
    """The same as differences to a baseline: a gain that grows towards the boundary is one of sharper edges."""
    shown = [arm for arm in arms if arm not in (baseline, UPPER_BOUND)]
    gains = {arm: gain for arm in shown if (gain := study.difference(arm, baseline, "trimap")) is not None}
    if not gains:
        return Note(f"**Not run:** an arm beside {baseline}.")
    return trimap_gains(gains, _trimap_px(study), f"mIoU difference\nto {baseline} (points)")


def ring_chart(study: Study, pairs: Mapping[str, Pair]) -> Figure | Note:
    """Differences in the rings around class boundaries, with intervals. pairs: title -> arms a, b, for a - b."""
    found = {title: study.difference(*pair, "rings") for title, pair in pairs.items()}
    rows = {title: value for title, value in found.items() if value is not None}
    return rings(rows, _trimap_px(study)) if rows else Note(f"**Not run:** {', '.join(pairs)}.")


def ring_table(study: Study, pairs: Mapping[str, Pair]) -> Note:
    """The numbers of `ring_chart`: one row per pair, a column per ring, and one for all pixels within CLOSE."""
    rows = {}
    for title, (a, b) in pairs.items():
        by_ring, within = study.difference(a, b, "rings"), study.difference(a, b, "trimap")
        if by_ring is not None and within is not None:
            px = _trimap_px(study)
            numbers = [*(_told(by_ring, place) for place in range(len(px) + 1)), _told(within, px.index(CLOSE))]
            rows[title] = dict(zip([*ring_labels(px), f"≤ {CLOSE}"], numbers, strict=True))
    return _table(pd.DataFrame(rows).T, "pixels from a boundary", pairs)


def class_difference_table(study: Study, pairs: Mapping[str, Pair]) -> Note:
    """IoU differences by class in points with their intervals: one row per class, one column per pair."""
    columns = {
        title: [_told(value, place) for place in range(len(study.classes))]
        for title, pair in pairs.items() if (value := study.difference(*pair, "classes")) is not None
    }  # fmt: skip
    return _table(pd.DataFrame(columns, index=list(study.classes)), "class", pairs)


def _told(value: Difference, place: int) -> str:
    """One entry of a difference with several, such as "+0.85 [+0.15, +1.54]"; blank where the class is absent."""
    estimate, low, high = (np.asarray(field)[place] for field in (value.estimate, value.low, value.high))
    if np.isnan(estimate):
        return ""
    return f"{signed(estimate)} {ends(low, high)}" if value.interval_shown else signed(estimate)


def _table(table: pd.DataFrame, index: str, pairs: Mapping[str, Pair]) -> Note:
    return Note.table(table.rename_axis(index)) if table.size else Note(f"**Not run:** {', '.join(pairs)}.")


def object_gain_chart(study: Study, bounds: Sequence[int], baseline: str, arms: Sequence[str]) -> Figure | Note:
    """Share of the pixels of each object that were found, by its size, as differences to a baseline.

    Paired by seed, each a point, since recall has no count by frame. bounds: the sizes that part the bins, in pixels.
    """
    base, gains = _object_recall(study, baseline), {}
    for arm in arms:
        own = _object_recall(study, arm)
        if shared := sorted(own.keys() & base.keys()):
            gains[arm] = np.stack([own[seed] - base[seed] for seed in shared])  # (seeds, size bins)
    if not gains:
        return Note(f"**Not run:** an arm beside {baseline}.")
    found = ", ".join(f"{share:.0f}" for share in np.mean(list(base.values()), 0))
    note = f"of the pixels of objects of these sizes, {baseline} finds {found} percent"
    return size_gains(gains, bounds, f"pixels found,\ndifference to {baseline} (points)", note)


def _object_recall(study: Study, arm: str) -> dict[int, np.ndarray]:
    """By seed, percent of the pixels of objects that were found, (size bins,), over all classes."""
    found = {run.seed: run.counts("test").object_recall.sum(0) for run in study.select(arm)}  # (size bins, 2)
    return {seed: 100 * each[:, 0] / each[:, 1].clip(1) for seed, each in found.items()}


def reconstruction_chart(study: Study) -> Figure | Note:
    """PSNR and SSIM of the SISR branch on test, for the main arms, the controls, and the arms whose losses act."""
    quality = reconstruction.quality(study)
    quality = quality[quality["arm"].isin(COMPARED + WHOSE_LOSSES_ACT)]
    return arm_plots.reconstruction(quality) if len(quality) else Note("No run with a SISR branch.")


def frame_differences(study: Study) -> pd.DataFrame | None:
    """`tables.frame_table` of `dsrl` and the first of RIVALS that was run, worst frame first; None without a rival."""
    rival = next((rival for rival in RIVALS if study.seeds([rival, "dsrl"])), None)
    return tables.frame_table(study, "dsrl", rival) if rival else None


def extreme_frames(frames: pd.DataFrame | None) -> Note:
    """The worst and best three frames, and on how many the arm is better than its rival."""
    if frames is None:
        return Note("**Not run:** `dsrl` and a rival with the same seed.")
    arm, rival = frames.columns[2:4]
    won = (frames["difference"] > 0).mean()
    places = range(len(frames))
    shown = frames.iloc[sorted({*places[:3], *places[-3:]})].rename(columns={"index": "position (parameter `frame`)"})
    shown["difference"] = [f"{points:+.2f}" for points in shown["difference"]]
    table = Note.table(readable(shown))
    return Note(
        f"{arm} is better than {rival} on {100 * won:.0f} % of {len(frames)} frames; worst and best three:\n\n{table}"
    )


def places(frames: pd.DataFrame, frame: int = -1) -> list[float]:
    """The worst and the best frame and a third one, as fractions of the split; the third is `frame`, or the median."""
    last = max(len(frames) - 1, 1)
    worst, middle, best = (int(frames["index"].iloc[place]) for place in (0, len(frames) // 2, -1))
    return [index / last for index in (worst, best, middle if frame < 0 else frame)]


def extreme_titles(frames: pd.DataFrame) -> list[str]:
    """Of pictures of the worst and the best frame: name, and how much better the arm is there."""
    rows = {"worst": frames.iloc[0], "best": frames.iloc[-1]}
    return [f"{word}: {row['frame']}, {signed(row['difference'], 1)} points" for word, row in rows.items()]


def _trimap_px(study: Study) -> list[int]:
    return study.select(study.arms[0])[0].counts("test").trimap_px.tolist()
