"""Differences with their intervals: in one column, with two kinds of interval, by distance from a boundary."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from study.figures.notes import ends, seeds_of, signed
from study.figures.style import BAND, INK, chart, styled
from study.statistics.bootstrap import Difference
from study.statistics.random_effects import Interval

BOOTSTRAP, INTERVAL, SEEDS, CLAIMED = "#999999", "#0072B2", "#D55E00", "#222222"
XLABEL = "difference in mIoU (points)"

LARGE = 3.0
"""Differences above this many points have an axis of their own, unless most are."""

Pairs = Mapping[str, tuple[Difference, Interval]]


@styled
def forest(
    rows: Mapping[str, Difference],
    *,
    claimed: Mapping[str, float] | None = None,
    interest: float | None = None,
    heads: Collection[str] = (),
    xlabel: str = XLABEL,
) -> Figure:
    """Differences with their intervals, one row each, every seed as a point.

    One and two seeds are shown as points alone (`Difference.interval_shown`). Variants, whose names have an @, have an
    axis of their own, and so have differences above LARGE. claimed: what a claim asks for, by row, a dashed line there.
    interest: smallest effect of interest, a band around zero. heads: names of rows that sum up the others, in bold.
    """
    panels = _split(rows, {name: row.estimate for name, row in rows.items()})
    heights = [len(found) + 0.4 for found in panels]
    figure = chart(7.6, 0.9 + 0.42 * sum(heights))
    grid = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    grid[-1].set_xlabel(xlabel)
    for axes, found in zip(grid, panels, strict=True):
        _differences(axes, found)
        for label in (label for label in axes.get_yticklabels() if label.get_text() in heads):
            label.set_fontweight("bold")
        if interest is not None:
            axes.axvspan(-interest, interest, color=BAND, zorder=0, linewidth=0)
        for y, points in ((list(found).index(row), points) for row, points in (claimed or {}).items() if row in found):
            axes.vlines(points, y - 0.45, y + 0.45, color=CLAIMED, linewidth=1.2, linestyle="--")
    _legend(figure, sorted({*(claimed or {}).values()}), interest)
    return figure


@styled
def interval_pairs(rows: Pairs, judging: str = "") -> Figure:
    """Each difference with its bootstrap interval above its interval over random effects, in points.

    judging: the one by which claims are judged, "bootstrap" or "random effects", as in `Profile.interval`.
    """
    panels = _split(rows, {name: old.estimate for name, (old, _) in rows.items()})
    heights = [len(found) + 0.5 for found in panels]
    figure = chart(8.4, 1.2 + 0.34 * sum(heights))
    grid = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, found in zip(grid, panels, strict=True):
        _draw(axes, found)
    for line, kind in zip(grid[0].lines, ("bootstrap", "random effects"), strict=False):
        name = {"bootstrap": "two-level bootstrap"}.get(kind, kind)
        line.set_label(f"{name}, which judges the claims" if kind == judging else name)
    grid[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    grid[-1].set_xlabel(XLABEL)
    return figure


@styled
def rings(rows: Mapping[str, Difference], px: Sequence[int]) -> Figure:
    """Differences by distance from a class boundary, one panel each, with an axis of its own: a wide interval of one
    would hide the others.

    Fields: (rings,); px: widths of bands.
    """
    labels = ring_labels(px)
    figure = chart(1.4 + 2.3 * len(rows), 2.6)
    panels = figure.subplots(1, len(rows), sharex=True, squeeze=False)[0]
    places = range(len(labels))
    for axes, (title, row) in zip(panels, rows.items(), strict=True):
        axes.axhline(0, color=INK, linewidth=0.9)
        if row.interval_shown:
            axes.vlines(places, row.low, row.high, color=INTERVAL, linewidth=2.2)
        axes.plot(places, row.estimate, "D", color=INTERVAL, markersize=4.5)
        axes.set_title(title, fontsize=9)
        axes.set_xticks(places, labels, rotation=45)
        axes.grid(axis="x", visible=False)
    panels[0].set_ylabel("mIoU difference (points)")
    figure.supxlabel("distance to a class boundary (pixels); bars: 95 % intervals", fontsize=9)
    return figure


def ring_labels(px: Sequence[int]) -> list[str]:
    """The distances from a boundary in each ring, such as "1", "3–4" and "> 16". px: widths of the bands."""
    return [str(px[0]), *(f"{a + 1}–{b}" if b > a + 1 else str(b) for a, b in pairwise(px)), f"> {px[-1]}"]


@styled
def video_panels(
    rows: Mapping[str, Mapping[str, Sequence[float]]], over_videos: Mapping[str, tuple[float, float, float] | None]
) -> Figure:
    """Differences on each video, one panel per pair of arms: every seed a point, their mean a diamond.

    rows: pair -> video -> points by seed. over_videos: pair -> mean, low and high, drawn below the videos; or None.
    """
    names = list(dict.fromkeys(video for videos in rows.values() for video in videos))
    figure = chart(1.6 + 2.1 * len(rows), 2.8)
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (pair, videos) in zip(panels, rows.items(), strict=True):
        axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
        for video, seeds in videos.items():
            y = names.index(video)
            axes.plot(np.mean(seeds), y, "D", color=INTERVAL, markersize=5, zorder=4)
            axes.plot(seeds, [y + 0.24] * len(seeds), "o", color=SEEDS, markersize=3.6, alpha=0.8, zorder=3)
        if whole := over_videos[pair]:
            axes.plot(whole[1:], [len(names)] * 2, color=INTERVAL, linewidth=2.4, solid_capstyle="butt")
            axes.plot(whole[0], len(names), "D", color=INTERVAL, markersize=6, zorder=4)
        axes.set_title(pair, fontsize=9)
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(names) + 1), [*names, "all videos"])
    panels[0].set_ylim(len(names) + 0.5, -0.5)
    figure.supxlabel(XLABEL, fontsize=9)
    _legend(figure, [], None)
    return figure


def _draw(axes: Axes, rows: Pairs) -> None:
    for y, (old, new) in enumerate(rows.values()):
        for low, high, shift, hue in ((old.low, old.high, -0.16, BOOTSTRAP), (new.low, new.high, 0.16, INTERVAL)):
            axes.plot([low, high], [y + shift] * 2, color=hue, linewidth=2.4, solid_capstyle="butt")
        axes.plot(old.estimate, y, "D", color=INK, markersize=4, zorder=4)
    _name_rows(axes, list(rows))


def _differences(axes: Axes, rows: Mapping[str, Difference]) -> None:
    for y, row in enumerate(rows.values()):
        if row.interval_shown:
            axes.plot([row.low, row.high], [y, y], color=INTERVAL, linewidth=2.4, solid_capstyle="butt")
        interval = ends(row.low, row.high) if row.interval_shown else "no interval"
        text = f"{signed(row.estimate)}  {interval}  {seeds_of(row)}"
        filled = INTERVAL if row.interval_shown else "white"
        axes.plot(row.estimate, y, "D", color=INTERVAL, markerfacecolor=filled, markersize=6, zorder=4)
        offsets = y + 0.24 + np.zeros(len(row.per_seed))
        axes.plot(row.per_seed, offsets, "o", color=SEEDS, markersize=3.6, alpha=0.8, zorder=3)
        axes.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8.5)
    _name_rows(axes, list(rows))


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """The names of the rows from the top, and a line at zero."""
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def _legend(figure: Figure, claimed: Sequence[float], interest: float | None) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INTERVAL, marker="D", markersize=6, label="mean, 95 % interval"),
        Line2D([], [], color=SEEDS, marker="o", markersize=3.6, linestyle="", label="one seed"),
    ]
    if interest is not None:
        handles.append(Patch(color=BAND, label=f"smaller than the smallest effect of interest ({interest:g})"))
    for points in claimed:
        label = f"claimed: {points:+g}"
        handles.append(Line2D([], [], color=CLAIMED, linewidth=1, linestyle="--", label=label))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.4)


def _split(rows: Mapping[str, Any], estimates: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows for each axis: those up to LARGE, those of variants, then those above LARGE; without an empty one.

    All rows on one axis if most are large: an axis for the others would show little more.
    """
    large = {name: row for name, row in rows.items() if abs(estimates[name]) > LARGE}
    if 2 * len(large) > len(rows):
        return [dict(rows)]
    variants = {name: row for name, row in rows.items() if "@" in name and name not in large}
    main = {name: row for name, row in rows.items() if name not in variants | large}
    return [found for found in (main, variants, large) if found]
