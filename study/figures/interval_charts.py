"""Two intervals of one difference beside each other."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.figures.style import INK, chart, styled
from study.statistics.bootstrap import Difference
from study.statistics.random_effects import Interval

BOOTSTRAP, EFFECTS = "#999999", "#0072B2"
LARGE = 6.0
"""Differences above this many points have an axis of their own."""

Pairs = Mapping[str, tuple[Difference, Interval]]


@styled
def interval_pairs(rows: Pairs) -> Figure:
    """Each difference with its bootstrap interval above its interval over random effects, in points."""
    small = {name: pair for name, pair in rows.items() if abs(pair[0].estimate) <= LARGE}
    panels = [found for found in (small, {name: rows[name] for name in rows if name not in small}) if found]
    heights = [len(found) + 0.5 for found in panels]
    figure = chart(8.4, 1.2 + 0.34 * sum(heights))
    grid = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, found in zip(grid, panels, strict=True):
        _draw(axes, found)
    grid[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    grid[-1].set_xlabel("difference in mIoU (points)")
    return figure


def _draw(axes: Axes, rows: Pairs) -> None:
    for y, (old, new) in enumerate(rows.values()):
        for low, high, shift, hue in ((old.low, old.high, -0.16, BOOTSTRAP), (new.low, new.high, 0.16, EFFECTS)):
            axes.plot([low, high], [y + shift] * 2, color=hue, linewidth=2.4, solid_capstyle="butt")
        axes.plot(old.estimate, y, "D", color=INK, markersize=4, zorder=4)
    for line, label in zip(axes.lines, ("two-level bootstrap", "random effects"), strict=False):
        line.set_label(label)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
