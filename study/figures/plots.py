"""Charts of runs and comparisons. Each function returns a figure and changes nothing global.

mIoU and IoU are in points (percent). Each seed is one point; intervals are the 95 % ones of `Study.contrast`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy.optimize import isotonic_regression

from dsrl_lib.losses.terms import TERMS
from study.figures.style import INK, chart, colour, styled
from study.statistics.bootstrap import Difference


@styled
def training_curves(history: pd.DataFrame, title: str = "") -> Figure:
    """One run: weighted loss terms, validation mIoU (and PSNR), learning rate. history: history.csv."""
    figure = chart(9.6, 2.9)
    losses, accuracy, rate = figure.subplots(1, 3)
    for name, term in TERMS.items():
        if name in history and history[name].notna().any():
            losses.plot(history["epoch"], history[name], color=term.colour, label=term.label, **_dot(history))
    losses.set(title="Weighted loss terms", xlabel="epoch")
    if len(losses.lines) > 1:
        losses.set_yscale("log")
        losses.yaxis.set_major_formatter("{x:g}")
    losses.legend()
    known = history.dropna(subset="val_miou")
    accuracy.plot(known["epoch"], 100 * known["val_miou"], color="#D55E00", marker="o", markersize=3.5)
    accuracy.set(title="Validation mIoU", xlabel="epoch", ylabel="points")
    if history["val_psnr"].notna().any():
        quality = accuracy.twinx()
        quality.plot(known["epoch"], known["val_psnr"], color="#009E73", linestyle="--", linewidth=1.2)
        quality.set_ylabel("SISR PSNR (dB)", color="#009E73")
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
    """Validation mIoU by arm: every seed thin, their mean thick. histories: as from `Study.histories`."""
    figure = chart(6.4, 3.6)
    axes = figure.subplots()
    for arm, seeds in histories.items():
        curves = [history.dropna(subset="val_miou").set_index("epoch")["val_miou"] * 100 for history in seeds]
        for curve in curves:
            axes.plot(curve.index, curve, color=colour(arm), linewidth=0.7, alpha=0.45)
        mean = pd.concat(curves, axis=1).mean(axis=1)
        axes.plot(mean.index, mean, color=colour(arm), label=arm, marker="o", markersize=3.5)
    axes.set(xlabel="epochs since the start of the first stage", ylabel="validation mIoU (points)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled
def class_differences(names: Sequence[str], rows: Mapping[str, Difference]) -> Figure:
    """IoU difference by class. names: K classes; rows: comparisons whose fields have shape (K,)."""
    figure = chart(1.4 + 2.2 * len(rows), 0.9 + 0.27 * len(names))
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    y = np.arange(len(names))
    for axes, (title, row) in zip(panels, rows.items(), strict=True):
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.hlines(y, row.low, row.high, color="#0072B2", linewidth=2.2)
        axes.plot(row.estimate, y, "D", color="#0072B2", markersize=4.5)
        axes.plot(row.per_seed.T, y + 0.3, "o", color="#D55E00", markersize=2.6, alpha=0.7)  # below the interval
        axes.set(title=title.replace(" − ", "\n− "), xlabel="IoU difference (points)")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(y, names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


@styled
def class_heat(values: pd.DataFrame) -> Figure:
    """IoU by arm (rows) and class (columns): the first arm in points, every other arm as a difference to it.

    Colour shows the difference; blank for an absent class.
    """
    shown = values - values.iloc[0]
    limit = max(1.0, float(np.nanquantile(shown.abs().to_numpy(float), 0.95)))
    figure = chart(1.6 + 0.62 * values.shape[1], 0.9 + 0.34 * len(values))
    axes = figure.subplots()
    image = axes.imshow(shown, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), value in np.ndenumerate(values.to_numpy(float)):
        if np.isfinite(value):
            change = shown.iat[i, j]
            text = f"{value:.1f}" if i == 0 else f"{change:+.1f}".replace("-", "−")
            axes.text(j, i, text, ha="center", va="center", fontsize=7.5,
                      color="white" if abs(change) > 0.75 * limit else "black")  # fmt: skip
    axes.set_xticks(range(values.shape[1]), values.columns, rotation=40, ha="right", rotation_mode="anchor")
    names = list(values.index)
    axes.set_yticks(range(len(values)), [f"{names[0]} (IoU)", *(f"{name} − {names[0]}" for name in names[1:])])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, label="difference (points)", fraction=0.03, pad=0.015)
    return figure


@styled
def accuracy_cost(table: pd.DataFrame, x: str, xlabel: str, *, unit: float = 1.0) -> Figure:
    """Test mIoU against cost; small points are seeds, and each arm's name stands beside its mean.

    table: one row per run (`results_frame`); arms of another host than the first are named with it. x: a cost column,
    shown divided by `unit` (1e9 for GMACs).
    """
    figure = chart(7.6, 4.6)
    axes = figure.subplots()
    means: list[tuple[float, float, str]] = []  # (cost, mIoU, name)
    first = table["host"].iloc[0]
    for (host, arm), runs in table.groupby(["host", "arm"], sort=False):
        at, mean = runs[x].median() / unit, runs["test_miou"].mean()
        axes.plot(runs[x] / unit, runs["test_miou"], ".", color=colour(arm), markersize=4, alpha=0.6)
        axes.plot(at, mean, "o", color=colour(arm), markersize=8, markeredgecolor="white")
        means.append((at, mean, arm if host == first else f"{arm}, {host}"))
    axes.set(xscale="log", xlabel=xlabel, ylabel="test mIoU (points)")
    axes.margins(x=0.18, y=0.08)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    _name(axes, sorted(means))
    return figure


def _name(axes: Axes, means: Sequence[tuple[float, float, str]]) -> None:
    """Names of points (x, y, name), by x: in a column to the right of those at almost the same x, none on another."""
    low, high = axes.get_ylim()
    line = (high - low) / 24  # of text
    columns: list[list[tuple[float, float, str]]] = []
    for point in means:
        near = columns and point[0] / columns[-1][0][0] < 1.2
        columns[-1].append(point) if near else columns.append([point])
    for column in columns:
        column.sort(key=lambda point: point[1])
        steps = line * np.arange(len(column))
        # The nearest heights to those of the points that are a line of text apart.
        heights = isotonic_regression(np.array([y for _, y, _ in column]) - steps).x + steps
        right = 1.03 * max(x for x, _, _ in column)
        for (x, y, name), height in zip(column, heights, strict=True):
            axes.annotate(name, (x, y), (right, height), fontsize=8, va="center",
                          arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6})  # fmt: skip


@styled
def factorial(cells: pd.DataFrame) -> Figure:
    """The FA factorial. cells: one row per run with placement, ftm, normalisation, seed, test_miou.

    One panel per placement, one line per normalisation through the means, every seed a point: parallel lines
    mean that the factors do not interact.
    """
    placements = list(dict.fromkeys(cells["placement"]))
    figure = chart(3.4 * len(placements) + 0.8, 3.2)
    panels = figure.subplots(1, len(placements), sharey=True, squeeze=False)[0]
    levels = list(dict.fromkeys(cells["ftm"]))
    for axes, placement in zip(panels, placements, strict=True):
        for shift, hue, (norm, part) in zip(
            (-0.06, 0.06), ("#0072B2", "#D55E00"),
            cells[cells["placement"] == placement].groupby("normalisation", sort=False), strict=False,
        ):  # fmt: skip
            at = part["ftm"].map(levels.index).to_numpy() + shift
            axes.plot(at, part["test_miou"], "o", color=hue, markersize=3.6, alpha=0.6)
            mean = part.groupby("ftm")["test_miou"].mean().reindex(levels)
            axes.plot(np.arange(len(levels)) + shift, mean, "D-", color=hue, markersize=6, label=norm)
        axes.set_xticks(range(len(levels)), levels)
        axes.set(title=f"FA on {placement}", xlabel="FTM", xlim=(-0.4, len(levels) - 0.6))
    panels[0].set_ylabel("test mIoU (points)")
    panels[-1].legend(title="FA matrix", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled
def trimap(curves: Mapping[str, Difference], px: Sequence[int], ylabel: str = "mIoU (points)") -> Figure:
    """Score near class boundaries. curves: by arm, fields of shape (bands,); px: width of each band."""
    figure = chart(6.2, 3.6)
    axes = figure.subplots()
    for arm, curve in curves.items():
        axes.fill_between(px, curve.low, curve.high, color=colour(arm), alpha=0.15, linewidth=0)
        axes.plot(px, curve.estimate, color=colour(arm), marker="o", markersize=4, label=arm)
    axes.set_xscale("log", base=2)
    axes.set_xticks(px, [str(n) for n in px])
    axes.set(xlabel="distance to a class boundary, at most (pixels)", ylabel=ylabel)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled
def recall_by_size(
    values: Mapping[str, np.ndarray | Sequence[float]], bounds: Sequence[int], ylabel: str = "pixels found (percent)"
) -> Figure:
    """Recall of objects by size. bounds: upper bounds in pixels.

    values: arm -> (bins,) in percent, or (seeds, bins), whose mean is a line and each seed a small point.
    """
    figure = chart(6.2, 3.4)
    axes = figure.subplots()
    labels = [f"≤ {bound}" for bound in bounds] + [f"> {bounds[-1]}"]
    for arm, recall in values.items():
        seeds = np.atleast_2d(recall)
        axes.plot(labels, seeds.mean(0), color=colour(arm), marker="o", markersize=4, label=arm)
        if len(seeds) > 1:
            axes.plot(labels, seeds.T, ".", color=colour(arm), markersize=4, alpha=0.5)
    axes.set(xlabel="size of the object (pixels)", ylabel=ylabel)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _dot(history: pd.DataFrame) -> dict[str, object]:
    return {"marker": "o", "markersize": 3.5} if len(history) < 12 else {}
