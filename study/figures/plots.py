"""Charts of runs and comparisons. Each function returns a figure and changes nothing global.

mIoU and IoU are in points (percent). Each seed is one point; intervals are the 95 % ones of `Study.contrast`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from dsrl_lib.losses.terms import TERMS
from study.figures.style import INK, chart, colour, styled
from study.statistics.bootstrap import Difference

OTHERS: dict[str, Any] = {"color": "#888888", "linewidth": 0.9, "linestyle": ":"}
"""Lines of other arms in the panel of one."""


@styled
def training_curves(history: pd.DataFrame, title: str = "") -> Figure:
    """Weighted loss terms, validation mIoU (and PSNR), learning rate.

    history: history.csv, of one run or of several stages. Its column val_psnr_bicubic, if `report.stages` gave it one,
    is a line beside the PSNR.
    """
    figure = chart(9.6, 2.9)
    losses, accuracy, rate = figure.subplots(1, 3, sharex=True)
    for name, term in TERMS.items():
        if name in history and history[name].notna().any():
            losses.plot(history["epoch"], history[name], color=term.colour, label=term.label, **_dot(history))
    losses.set(xlabel="epoch", ylabel="weighted loss terms")
    if len(losses.lines) > 1:
        losses.set_yscale("log")
        losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        losses.yaxis.set_major_formatter("{x:g}")
        losses.yaxis.set_minor_locator(NullLocator())
    above = {"loc": "lower left", "bbox_to_anchor": (-0.03, 0.98), "ncols": len(losses.lines)}
    losses.legend(**above, columnspacing=1)
    known = history.dropna(subset="val_miou")
    accuracy.plot(known["epoch"], 100 * known["val_miou"], color="#D55E00", marker="o", markersize=3.5)
    accuracy.set(title="Validation mIoU", xlabel="epoch", ylabel="points")
    if history["val_psnr"].notna().any():
        quality = accuracy.twinx()
        quality.plot(known["epoch"], known["val_psnr"], color="#009E73", linestyle="--", linewidth=1.2, **_dot(known))
        quality.set_ylabel("SISR PSNR (dB)", color="#009E73")
        if "val_psnr_bicubic" in history:
            level = history["val_psnr_bicubic"].max()  # the same at every epoch of a stage that has it
            quality.axhline(level, color="#009E73", linestyle=":", linewidth=1.2)
            quality.annotate("bicubic", (0.02, level), (0, 2), xycoords=("axes fraction", "data"),
                             textcoords="offset points", color="#009E73", fontsize=8)  # fmt: skip
            quality.margins(y=0.12)
        quality.grid(False)
        quality.spines["right"].set_visible(True)
    rate.plot(history["epoch"], 1e3 * history["lr"], color=INK, **_dot(history))
    rate.set(title="Learning rate × 1000", xlabel="epoch")
    for axes in (losses, accuracy, rate):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


@styled
def validation_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Validation mIoU, one panel per arm: every seed thin, their mean thick, the means of the other arms dotted.

    histories: by arm, of each seed, as `report.histories.histories` gives them.
    """
    curves = {
        arm: [100 * history.dropna(subset="val_miou").set_index("epoch")["val_miou"] for history in seeds]
        for arm, seeds in histories.items()
    }
    means = {arm: pd.concat(found, axis=1).mean(axis=1) for arm, found in curves.items()}
    validated = sorted({epoch for mean in means.values() for epoch in mean.index})
    columns = len(means) if len(means) < 6 else 4
    lines = -(-len(means) // columns)
    figure = chart(0.8 + min(7.6, 3.4 * columns), 0.6 + 1.9 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(means) :]:
        axes.set_axis_off()
    for axes, (arm, mean) in zip(grid.flat, means.items(), strict=False):
        for other in means.values():
            axes.plot(other.index, other, **OTHERS)
        for curve in curves[arm]:
            axes.plot(curve.index, curve, color=colour(arm), linewidth=0.8, alpha=0.6)
        axes.plot(mean.index, mean, color=colour(arm), marker="o", markersize=3.5)
        axes.set_title(arm, fontsize=9)
        axes.xaxis.set_major_locator(
            FixedLocator(validated) if len(validated) < 9 else MaxNLocator(integer=True, nbins=5)
        )
        axes.tick_params(labelbottom=True)
    figure.supxlabel("epochs since the start of the first stage", fontsize=9)
    figure.supylabel("validation mIoU (points)", fontsize=9)
    handles = [
        Line2D([], [], color=INK, marker="o", markersize=3.5, label="mean of the arm"),
        Line2D([], [], color=INK, linewidth=0.8, alpha=0.6, label="one seed"),
        Line2D([], [], **OTHERS, label="means of the other arms"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


@styled
def class_differences(names: Sequence[str], rows: Mapping[str, Difference]) -> Figure:
    """IoU difference by class. names: K classes; rows: comparisons whose fields have shape (K,)."""
    figure = chart(1.4 + 2.2 * len(rows), 0.9 + 0.27 * len(names))
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    y = np.arange(len(names))
    for axes, (title, row) in zip(panels, rows.items(), strict=True):
        axes.axvline(0, color=INK, linewidth=0.9)
        if row.interval_shown:
            axes.hlines(y, row.low, row.high, color="#0072B2", linewidth=2.2)
        axes.plot(row.estimate, y, "D", color="#0072B2", markersize=4.5)
        axes.plot(row.per_seed.T, y + 0.3, "o", color="#D55E00", markersize=2.6, alpha=0.7)  # below the interval
        axes.set_title(title.replace(" − ", "\n− "))
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(y, names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("IoU difference (points); bars: 95 % intervals, small points: seeds", fontsize=9)
    return figure


@styled
def class_heat(values: pd.DataFrame, beyond: str = "") -> Figure:
    """IoU by arm (rows) and class (columns): the first arm in points, every other arm as a difference to it.

    Colour shows the difference; blank for an absent class. beyond: an arm that may lie beyond the scale of the colours.
    """
    shown = values - values.iloc[0]
    compared = shown.drop(index=beyond, errors="ignore").abs().to_numpy(float)
    limit = max(1.0, float(np.nanquantile(compared, 0.95)))
    figure = chart(1.6 + 0.62 * values.shape[1], 0.9 + 0.34 * len(values))
    axes = figure.subplots()
    image = axes.imshow(shown, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), value in np.ndenumerate(values.to_numpy(float)):
        if np.isfinite(value):
            change = shown.iat[i, j]
            text = f"{value:.1f}" if i == 0 else f"{change:+z.1f}".replace("-", "−")
            axes.text(j, i, text, ha="center", va="center", fontsize=7.5,
                      color="white" if abs(change) > 0.75 * limit else "black")  # fmt: skip
    axes.set_xticks(range(values.shape[1]), values.columns, rotation=40, ha="right", rotation_mode="anchor")
    names = list(values.index)
    axes.set_yticks(range(len(values)), [f"{names[0]} (IoU)", *(f"{name} − {names[0]}" for name in names[1:])])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, label="difference (points)", fraction=0.03, pad=0.015, extend=_beyond(shown, limit))
    return figure


def _beyond(shown: pd.DataFrame, limit: float) -> str:
    """At which ends of a scale from -limit to limit values lie beyond it."""
    ends = (bool((shown < -limit).any(axis=None)), bool((shown > limit).any(axis=None)))
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]


def _dot(history: pd.DataFrame) -> dict[str, object]:
    return {"marker": "o", "markersize": 3.5} if len(history) < 12 else {}
