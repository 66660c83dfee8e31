"""Test mIoU against what a network costs, with a name beside each point."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from scipy.optimize import isotonic_regression

from study.figures.style import chart, colour, styled

NEAR = 0.05
"""Points that are closer than this share of the axis have their names in one column."""
BESIDE, CHARACTER = 0.02, 0.0085
"""The gap between points and their names, and the width of a character of these, as shares of the axis."""
WIDTH, NARROWER = 7.6, 3
"""The width of the panel of the first host in inches, and how many times narrower those of the others are."""
ROOM = 1.6
"""Of the axis of such a panel, beyond its points, as a ratio of costs."""


class _Point(NamedTuple):
    """An arm in a chart of cost: its mean, and both ends of its bar."""

    x: float
    y: float
    name: str
    colour: str
    low: float
    high: float


@styled
def accuracy_cost(table: pd.DataFrame, x: str, xlabel: str, *, unit: float = 1.0) -> Figure:
    """Test mIoU against cost; small points are seeds, and each arm's name stands beside its mean.

    table: one row per run (`results_frame`); each other host than the first has a narrow panel, with its own costs at
    the same mIoU. Columns low and high, if it has them, are quartiles of the cost of the arm, drawn as a bar. x: a cost
    column, shown divided by `unit` (1e9 for GMACs), on a logarithmic axis.
    """
    hosts = list(dict.fromkeys(table["host"]))
    others = len(hosts) - 1
    figure = chart(WIDTH + others * WIDTH / NARROWER, 4.6)
    ratios = [NARROWER] + [1] * others
    panels = figure.subplots(1, len(hosts), sharey=True, squeeze=False, width_ratios=ratios)[0]
    named = [_points(axes, table[table["host"] == host], x, unit) for axes, host in zip(panels, hosts, strict=True)]
    for axes, host, means in zip(panels, hosts, named, strict=True):
        axes.margins(x=0.22, y=0.08)
        axes.set_xscale("log")
        if axes is not panels[0]:  # its few points cost nearly the same: room for names, and for a label of the axis
            axes.set_xlim(means[0].low / ROOM, means[-1].high * ROOM)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        if others:
            axes.set_title(host.replace("_", "_\n", axes is not panels[0]), fontsize=8.5)
    panels[0].set(xlabel=f"{xlabel}, logarithmic", ylabel="test mIoU (points)")
    for axes, means in zip(panels, named, strict=True):
        _name(axes, means, 1 if axes is panels[0] else NARROWER)
    return figure


def _points(axes: Axes, table: pd.DataFrame, x: str, unit: float) -> list[_Point]:
    """Draw the arms of one host; their means, from the cheapest."""
    means = []
    for arm, runs in table.groupby("arm", sort=False):
        hue = colour(arm)
        at, mean = runs[x].median() / unit, runs["test_miou"].mean()
        axes.plot(runs[x] / unit, runs["test_miou"], ".", color=hue, markersize=4, alpha=0.6)
        low, high = (runs[end].iloc[0] / unit for end in ("low", "high")) if "low" in runs else (at, at)
        axes.hlines(mean, low, high, color=hue, linewidth=1.4, alpha=0.7)
        axes.plot(at, mean, "o", color=hue, markersize=8, markeredgecolor="white")
        means.append(_Point(at, mean, arm, hue, low, high))
    return sorted(means)


def _name(axes: Axes, means: Sequence[_Point], narrower: float) -> None:
    """The names of points that are sorted by x, in the colours of their arms. narrower: than WIDTH, the axis is.

    Points at almost the same x, and those whose bars overlap, have their names in one column. It is to their right, or
    to their left if the next points leave it too little room and there is more.
    """
    left, right = np.log(axes.get_xlim())

    def share(x: float) -> float:
        return (np.log(x) - left) / (right - left)  # of the axis

    columns: list[list[_Point]] = []
    for point in means:
        end = max(other.high for other in columns[-1]) if columns else 0.0
        near = columns and (point.low < end or share(point.x) - share(columns[-1][-1].x) < NEAR)
        if near:
            columns[-1].append(point)
        else:
            columns.append([point])
    starts = [share(min(point.low for point in column)) for column in columns]
    ends = [share(max(point.high for point in column)) for column in columns]
    line = np.ptp(axes.get_ylim()) / 24  # of text
    taken = 0.0
    for column, start, end, following in zip(columns, starts, ends, [*starts[1:], 1.0], strict=True):
        gap = narrower * BESIDE
        width = gap + narrower * CHARACTER * max(len(point.name) for point in column)
        after = following - end > min(width, start - taken)
        place = np.exp(left + (end + gap if after else start - gap) * (right - left))
        taken = end + width * after
        column.sort(key=lambda point: point.y)
        steps = line * np.arange(len(column))
        # The nearest heights to those of the points that are a line of text apart.
        heights = isotonic_regression(np.array([point.y for point in column]) - steps).x + steps
        for point, height in zip(column, heights, strict=True):
            to_the_point = {"arrowstyle": "-", "color": point.colour, "linewidth": 0.6, "alpha": 0.5}
            axes.annotate(point.name, (point.x, point.y), (place, height), fontsize=8, va="center", color=point.colour,
                          ha="left" if after else "right", arrowprops=to_the_point)  # fmt: skip
