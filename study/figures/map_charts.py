"""Small maps and matrices in a row, for the equations of 02_method."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from study.figures.style import chart, styled

LIMIT = 2.5
"""The colours of a map go from -LIMIT (red) to LIMIT (blue)."""


@styled
def map_row(maps: Mapping[str, np.ndarray]) -> Figure:
    """Maps (h, w) of any size by title."""
    figure = chart(9.6, 2)
    for axes, (title, values) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps.items(), strict=True):
        shown = axes.imshow(values, cmap="RdBu", vmin=-LIMIT, vmax=LIMIT)
        axes.set_title(title, fontsize=8.5)
        axes.set_axis_off()
    figure.colorbar(shown, ax=figure.axes, fraction=0.02, pad=0.01, label="logit", extend="both")
    return figure


@styled
def affinity_matrices(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Affinity matrices (N, N) by title, with one colour scale from 0 to 1."""
    figure = chart(7.5, 2.4)
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (title, matrix) in zip(panels, matrices.items(), strict=True):
        shown = axes.imshow(matrix, cmap="viridis", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], xlabel="token j", ylabel="token i")
        axes.set_title(title, fontsize=8.5)
        axes.grid(False)
    figure.colorbar(shown, ax=figure.axes, fraction=0.03, pad=0.02, label="affinity")
    return figure
