"""Gains near boundaries and by size of the object, one panel per arm: curves in one panel would hide each other."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.figures.style import INK, chart, colour, styled
from study.statistics.bootstrap import Difference

OTHERS = "#c8c8c8"
"""The means of the other arms, thin in each panel, so that panels can be compared."""


@styled
def trimap_gains(curves: Mapping[str, Difference], px: Sequence[int], ylabel: str) -> Figure:
    """Gain in mIoU near class boundaries with its interval. curves: by arm, fields (bands,); px: width of each band."""
    figure, panels = _panels({arm: curve.estimate for arm, curve in curves.items()}, [str(n) for n in px])
    for axes, (arm, curve) in zip(panels, curves.items(), strict=True):
        if curve.interval_shown:
            axes.fill_between(range(len(px)), curve.low, curve.high, color=colour(arm), alpha=0.2, linewidth=0)
    panels[0].set_ylabel(ylabel)
    figure.supxlabel("distance to a class boundary, at most (pixels); bands: 95 % intervals", fontsize=9)
    return figure


@styled
def size_gains(values: Mapping[str, np.ndarray], bounds: Sequence[int], ylabel: str, note: str = "") -> Figure:
    """Gain in recall by size of the object: the mean a line, each seed a point.

    values: arm -> (seeds, bins) in points. bounds: upper bounds in pixels. note: a second line below the axis.
    """
    labels = [f"≤ {bound}" for bound in bounds] + [f"> {bounds[-1]}"]
    figure, panels = _panels({arm: seeds.mean(0) for arm, seeds in values.items()}, labels, rotation=45)
    for axes, (arm, seeds) in zip(panels, values.items(), strict=True):
        axes.plot(range(len(labels)), seeds.T, ".", color=colour(arm), markersize=5, alpha=0.5)
    panels[0].set_ylabel(ylabel)
    figure.supxlabel(
        "\n".join(["size of the object (pixels); small points: seeds", *([note] if note else [])]), fontsize=9
    )
    return figure


def _panels(means: Mapping[str, np.ndarray], labels: Sequence[str], rotation: int = 0) -> tuple[Figure, list[Axes]]:
    """A panel per arm with its mean, zero, and the means of the others."""
    figure = chart(0.8 + min(7.6, 2.6 * len(means)), 3.0)
    panels = list(figure.subplots(1, len(means), sharex=True, sharey=True, squeeze=False)[0])
    places = range(len(labels))
    for axes, (arm, mean) in zip(panels, means.items(), strict=True):
        axes.plot(places, mean, color=colour(arm), marker="o", markersize=4.5, zorder=4)
        for other in means:
            if other != arm:
                axes.plot(places, means[other], color=OTHERS, linewidth=0.9, zorder=1.5)
        axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
        axes.set_title(arm, fontsize=9)
        turned = {"rotation": rotation, "ha": "right", "rotation_mode": "anchor"} if rotation else {}
        axes.set_xticks(places, labels, **turned)
        axes.set_xlim(-0.3, len(labels) - 0.7)
        axes.grid(axis="x", visible=False)
    return figure, panels
