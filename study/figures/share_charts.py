"""How strongly each term of the loss acts on the shared encoder, and what a target share of its gradient changes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsrl_lib.losses.terms import TERMS
from study.figures.style import BAND, INK, chart, styled

COLUMNS = 4
"""Panels side by side."""


def loss_name(term: str) -> str:
    """What readers know a term of the loss by."""
    return {"mse": "SISR (w1 MSE)", "fa": "FA (w2)"}.get(term, TERMS[term].label)


def logged_shares(history: pd.DataFrame) -> dict[str, pd.Series]:
    """Share of the gradient by term, indexed by epoch, of the terms beside CE that a history recorded and that act."""
    found = {term: history.set_index("epoch")[f"share_{term}"].dropna() for term in TERMS if f"share_{term}" in history}
    return {term: share for term, share in found.items() if term != "ce" and (share > 0).any()}


@styled
def share_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Share of each term beside CE in percent, one panel per arm: every seed thin, their mean thick."""
    columns = min(COLUMNS, len(histories))
    lines = -(-len(histories) // columns)
    figure = chart(1.4 + 2.05 * columns, 1.2 + 1.5 * lines)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(histories) :]:
        axes.remove()
    drawn = {}
    for axes, (arm, seeds) in zip(grid.flat, histories.items(), strict=False):
        by_term: dict[str, list[pd.Series]] = {}
        for history in seeds:
            for term, share in logged_shares(history).items():
                by_term.setdefault(term, []).append(100 * share)
        for term, curves in by_term.items():
            hue = TERMS[term].colour
            for curve in curves:
                axes.plot(curve.index, curve, color=hue, linewidth=0.7, alpha=0.45)
            mean = pd.concat(curves, axis=1).mean(axis=1)
            (drawn[loss_name(term)],) = axes.plot(mean.index, mean, color=hue, marker="o", markersize=3.5)
        axes.set_title(arm.replace("@", "\n@"), fontsize=8.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    grid[0, 0].set_ylim(0, None)
    figure.supxlabel("epochs since the start of the first stage", fontsize=9)
    figure.supylabel("share of the gradient\nof all losses (percent)", fontsize=9, ha="center")
    figure.legend(drawn.values(), drawn, loc="outside upper center", ncols=len(drawn))
    return figure


@styled
def scan_panels(
    gains: Mapping[str, Mapping[float, Sequence[float]]], colours: Sequence[str], ylabel: str, interest: float
) -> Figure:
    """What each target share of the gradient changes, one panel per loss: every seed a point, their mean a diamond.

    gains: loss -> share -> points by seed. interest: smallest effect of interest, a band around zero.
    """
    figure = chart(1.0 + 3.0 * len(gains), 2.9)
    panels = figure.subplots(1, len(gains), sharey=True, squeeze=False)[0]
    for axes, hue, (loss, by_share) in zip(panels, colours, gains.items(), strict=True):
        axes.axhspan(-interest, interest, color=BAND, zorder=0, linewidth=0)
        axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
        for place, seeds in enumerate(by_share.values()):
            axes.plot([place + 0.14] * len(seeds), seeds, "o", color=hue, markersize=3.6, alpha=0.6)
        axes.plot(range(len(by_share)), [np.mean(seeds) for seeds in by_share.values()], "D-", color=hue, markersize=5)
        axes.set_xticks(range(len(by_share)), [f"{100 * share:g}" for share in by_share])
        axes.set(title=loss, xlabel="share of the gradient of cross entropy (percent)")
        axes.grid(axis="x", visible=False)
    panels[0].set_ylabel(ylabel)
    return figure
