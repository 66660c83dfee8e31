"""Charts with one row per arm: where the inference cost goes, quality of the reconstruction."""

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from study.figures.style import INK, chart, colour, styled

PARTS = (
    ("host", "#8a8a8a", "host"),
    ("pruned", "#0072B2", "kept: SSSR head, or auxiliary network and sampling"),
    ("full", "#CC79A7", "pruned away"),
)
"""Each form in `tables.cost` holds the one before; the colour and the name of what it adds."""


INTERPOLATIONS: dict[str, dict[str, Any]] = {
    method: {"color": INK, "linestyle": dashes}
    for method, dashes in (("nearest", ":"), ("bilinear", "--"), ("bicubic", "-"))
}
"""By the interpolation of the input, to the size of the reconstruction, that a SISR branch has to beat: how its line
looks. No colour of an arm, since arms have theirs.
"""


NOISE = 1.1
"""Ratio of two latencies up to which they count as equal, as in claim C3."""
HEADINGS = {"MACs (M)": "MACs of one frame (millions)", "latency (ms)": "latency of one frame (ms)"}
"""Of `tables.cost`, one panel each, and what the axis is called."""


@styled
def cost_shares(cost: pd.DataFrame) -> Figure:
    """Stacked bars: host, what the SSSR head adds and keeps, what pruning removes. cost: `cost_table`.

    Arms of one network share a bar. What pruning removes is shown where it is counted; the clock of a small machine
    does not resolve it.
    """
    cost = of_equal_cost(cost)
    names = [fill(name, 40) for name in cost.index]
    heights = np.array([1 + 0.55 * name.count("\n") for name in names])
    figure = chart(9.6, 1.0 + 0.27 * heights.sum())
    panels = figure.subplots(1, len(HEADINGS), sharey=True)
    y = np.cumsum(heights) - heights / 2
    for axes, (heading, label) in zip(panels, HEADINGS.items(), strict=True):
        before, macs_before = np.zeros(len(cost)), np.zeros(len(cost))
        for form, hue, name in PARTS if heading.startswith("MACs") else PARTS[:2]:
            macs, reached = (cost[f"{what}, {form}"].to_numpy(float) for what in ("MACs (M)", heading))
            # Without another convolution a small difference in time is noise; a large one is sampling.
            until = np.where((macs > macs_before) | (reached > NOISE * before), reached, before)
            axes.barh(y, np.maximum(until - before, 0), left=before, height=0.66, color=hue, label=name)
            before, macs_before = until, macs
        axes.set_xlabel(label)
        axes.grid(axis="y", visible=False)
        for place in y[cost[f"{heading}, host"].isna()]:
            axes.text(0, place, " not measured", va="center", fontsize=8, color="#777777")
    panels[0].set_yticks(y, names)
    panels[0].set_ylim(heights.sum(), 0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(PARTS))
    return figure


def of_equal_cost(cost: pd.DataFrame) -> pd.DataFrame:
    """`cost_table` with one row per network: arms whose counts and sampling are equal. The index names all of them.

    A latency is the median of the arms that were timed: those that were not have the same network.
    """
    timed = [name for name in cost if name.startswith("latency")]
    counted = [name for name in cost if name not in timed]
    rows = {
        ", ".join(alike.index): alike[counted].iloc[0].to_dict() | alike[timed].median().to_dict()
        for _, alike in cost.groupby(counted, sort=False, dropna=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=cost.columns).rename_axis(cost.index.name)


@styled
def reconstruction(quality: pd.DataFrame) -> Figure:
    """PSNR and SSIM by arm, every seed a point, the mean a diamond. quality: `reconstruction.quality`.

    What interpolation of the same input reaches stands beside each arm as a line across its row.
    """
    arms = list(dict.fromkeys(quality["arm"]))
    drawn = [method for method in INTERPOLATIONS if quality.get(f"psnr_{method}", pd.Series()).notna().any()]
    figure = chart(8.4, 0.9 + 0.3 * len(arms))
    panels = figure.subplots(1, 2, sharey=True)
    scales = (("psnr", "PSNR (dB)", 1.0), ("ssim", "SSIM", 0.02))  # less than this is not worth a whole axis
    for axes, (name, label, span) in zip(panels, scales, strict=True):
        for y, arm in enumerate(arms):
            values = quality.loc[quality["arm"] == arm, name]
            axes.plot(values, np.full(len(values), y), "o", color=INK, markersize=3, alpha=0.6)
            axes.plot(values.mean(), y, "D", color=colour(arm), markersize=6)
            for method in drawn:
                reached = quality.loc[quality["arm"] == arm, f"{name}_{method}"].mean()
                axes.plot([reached, reached], [y - 0.5, y + 0.5], **INTERPOLATIONS[method], linewidth=1.4)
        shown = quality[[name, *(f"{name}_{method}" for method in drawn)]].to_numpy(float)
        middle, half = (np.nanmax(shown) + np.nanmin(shown)) / 2, (np.nanmax(shown) - np.nanmin(shown)) / 2
        half = max(1.1 * half, span / 2)
        axes.set(xlabel=label, xlim=(middle - half, middle + half))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    panels[0].set_yticks(range(len(arms)), arms)
    panels[0].set_ylim(len(arms) - 0.5, -0.5)
    handles = [Line2D([], [], **INTERPOLATIONS[method], label=f"{method} upsampling") for method in drawn]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
