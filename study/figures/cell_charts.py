"""The cells of the FA factorial: mIoU by the levels of its three factors."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.figures.style import chart, styled

PLACES = {"features": "features", "output": "outputs"}
"""Level of the placement -> its name in a title."""
GAP = 3.0
"""If a cell is this many points below the next better one, the axis is broken between them."""
LEVELS = {"norm": ("normalised", "#0072B2", "-"), "raw": ("not normalised", "#D55E00", "--")}
"""Level of the normalisation -> its name, colour and line."""


@styled
def factorial(cells: pd.DataFrame) -> Figure:
    """The FA factorial. cells: one row per run with placement, ftm, normalisation, seed, test_miou.

    One panel per placement, one line per normalisation through the means, every seed a point: parallel lines mean that
    the factors do not interact. Cells far below all others are in a strip of their own, so that the rest can be told
    apart.
    """
    placements = list(dict.fromkeys(cells["placement"]))
    ranges = _ranges(cells)
    figure = chart(3.4 * len(placements) + 0.8, 3.2 + 0.9 * (len(ranges) - 1))
    heights = [4, *[1.2] * (len(ranges) - 1)]
    grid = figure.subplots(
        len(ranges), len(placements), sharey="row", sharex=True, squeeze=False, height_ratios=heights
    )
    levels = list(dict.fromkeys(cells["ftm"]))
    for column, placement in zip(grid.T, placements, strict=True):
        here = cells[cells["placement"] == placement]
        for axes, limits in zip(column, ranges, strict=True):
            _lines(axes, here, levels)
            axes.set_ylim(*limits)
        column[0].set_title(f"FA on {PLACES[placement]}")
        for upper, lower in pairwise(column):
            _break(upper, lower)
        column[-1].set_xlabel("FTM")
    grid[0, 0].set_ylabel("test mIoU (points)")
    grid[0, -1].legend(title="affinity matrix", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _lines(axes: Axes, cells: pd.DataFrame, levels: Sequence[str]) -> None:
    for shift, (norm, part) in zip((-0.06, 0.06), cells.groupby("normalisation", sort=False), strict=False):
        name, hue, line = LEVELS[norm]
        at = part["ftm"].map(levels.index).to_numpy() + shift
        axes.plot(at, part["test_miou"], "o", color=hue, markersize=3.6, alpha=0.6)
        mean = part.groupby("ftm")["test_miou"].mean().reindex(levels)
        axes.plot(np.arange(len(levels)) + shift, mean, f"D{line}", color=hue, markersize=6, label=name)
    axes.set_xticks(range(len(levels)), levels)
    axes.set_xlim(-0.4, len(levels) - 0.6)


def _ranges(cells: pd.DataFrame) -> list[tuple[float, float]]:
    """The limits of each strip of the axis, the upper one first."""
    seeds = np.sort(cells["test_miou"].to_numpy(float))[::-1]
    cut = next((place for place in range(1, len(seeds)) if seeds[place - 1] - seeds[place] > GAP), len(seeds))
    parts = [part for part in (seeds[:cut], seeds[cut:]) if len(part)]
    return [(part.min() - 0.4, part.max() + 0.4) for part in parts]


def _break(upper: Axes, lower: Axes) -> None:
    """Slanted marks on the axis where it is broken."""
    upper.spines["bottom"].set_visible(False)
    upper.tick_params(axis="x", length=0, labelbottom=False)
    mark: dict[str, Any] = {
        "marker": [(-1, -0.5), (1, 0.5)], "markersize": 8, "linestyle": "", "color": "#555555", "clip_on": False
    }  # fmt: skip
    upper.plot([0], [0], transform=upper.transAxes, **mark)
    lower.plot([0], [1], transform=lower.transAxes, **mark)
