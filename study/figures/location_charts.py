"""Sampling locations over a frame, and what the host sees of it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.collections import LineCollection

from study.figures.photo import Photo
from study.figures.style import chart, styled

BOUNDARY, GRID = (200, 30, 30), "#1f4e9c"


@styled
def location_grids(image: np.ndarray, boundary: np.ndarray, grids: Mapping[str, np.ndarray]) -> Photo:
    """The frame with its class boundaries and, beside each other, each grid over it.

    image: uint8 (H, W, 3). boundary: bool (H, W). grids: by title, (n, m, 2) of row and column in [0, 1].
    """
    height, width = boundary.shape
    figure = chart(10.4, 10.4 / len(grids) * height / width + 0.5)
    faint = (0.45 * image + 0.55 * 255).astype(np.uint8)
    faint[boundary] = BOUNDARY
    for axes, (title, grid) in zip(figure.subplots(1, len(grids), squeeze=False)[0], grids.items(), strict=True):
        places = grid[..., ::-1] * (width - 1, height - 1)  # x and y of each node, in pixels
        axes.imshow(faint)
        axes.add_collection(LineCollection([*places, *places.swapaxes(0, 1)], colors=GRID, linewidths=0.7))
        axes.plot(*places.reshape(-1, 2).T, ".", color=GRID, markersize=3)
        axes.set_title(title, fontsize=8.5)
        axes.set_axis_off()
    return Photo(figure)


@styled
def sampled_pictures(pictures: Mapping[str, np.ndarray], columns: int = 2) -> Photo:
    """Samples as pictures, uint8 (h, w, 3) each by title, in so many columns: every pixel is one sample."""
    height, width = next(iter(pictures.values())).shape[:2]
    columns = min(len(pictures), columns)
    lines = -(-len(pictures) // columns)
    figure = chart(9, 8.8 / columns * lines * height / width + 0.25 * lines)
    for axes in figure.subplots(lines, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, (title, picture) in zip(figure.axes, pictures.items(), strict=False):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(title, fontsize=8.5)
    return Photo(figure)
