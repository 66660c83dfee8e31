"""The data of a profile in pictures: share of each class, frames beside labels, a training sample."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsrl_lib.data.class_tables import ClassTable, colourise
from study.figures.photo import Photo
from study.figures.style import chart, styled

HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")


@styled
def class_share_chart(shares: pd.DataFrame) -> Figure:
    """Share of the labelled pixels in percent, on a logarithmic axis. One row per class, up to four columns."""
    figure = chart(8.4, 3.2)
    axes = figure.subplots()
    number = shares.shape[1]
    values = shares.to_numpy(float)
    floor = 10.0 ** np.floor(np.log10(0.9 * values[values > 0].min(initial=100)))  # a whole decade, named on the axis
    for place, (hue, name) in enumerate(zip(HUES[: len(shares.columns)], shares, strict=True)):
        shift = 0.81 / number * (place - (number - 1) / 2)
        axes.bar(np.arange(len(shares)) + shift, shares[name], 0.75 / number, color=hue, label=name)
    axes.set(yscale="log", ylabel="share of pixels (percent), logarithmic", ylim=(floor, 100))
    axes.set_xticks(range(len(shares)), shares.index, rotation=40, ha="right", rotation_mode="anchor")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", visible=False)
    figure.legend(loc="outside upper center", ncols=number)
    return figure


@styled
def label_pictures(images: Sequence[np.ndarray], labels: Sequence[np.ndarray], table: ClassTable) -> Photo:
    """Frames, uint8 (H, W, 3), above their label maps, (H, W); void is black."""
    height, width = labels[0].shape
    figure = chart(8.4, 0.2 + 2 * 2.7 * height / width)
    for column, image, label in zip(figure.subplots(2, len(images)).T, images, labels, strict=True):
        for axes, picture in zip(column, (image, colourise(np.array(label), table)), strict=True):
            _picture(axes, picture)
    return Photo(figure)


@styled
def sample_pictures(pictures: Mapping[str, np.ndarray]) -> Photo:
    """The pictures of one training sample, (h, w, 3) each at its own size, and the middle quarter of each enlarged."""
    height, width = max(picture.shape[:2] for picture in pictures.values())
    figure = chart(8.4, 0.4 + 2 * 2.7 * height / width)
    grid = figure.subplots(2, len(pictures))
    for (whole, part), (title, picture) in zip(grid.T, pictures.items(), strict=True):
        rows, columns = (slice(3 * side // 8, 5 * side // 8) for side in picture.shape[:2])
        _picture(whole, picture, extent=(0, width, height, 0))
        whole.set_title(f"{title}, {picture.shape[0]} x {picture.shape[1]}", fontsize=8.5)
        _picture(part, picture[rows, columns], extent=(0, width, height, 0))
    return Photo(figure)


def paint_sets(sets: np.ndarray, table: ClassTable) -> np.ndarray:
    """A picture of the classes that are right at each pixel, as bits (H, W): uint8 (H, W, 3).

    One class has its colour, paled; several have their mean colour; none is black.
    """
    members = (sets[..., None] >> np.arange(len(table.classes))) & 1  # (H, W, K)
    size = members.sum(-1, keepdims=True)
    mean = members @ np.array(table.colours, float) / np.maximum(size, 1)  # (H, W, 3)
    return np.where(size == 1, 255 - 0.35 * (255 - mean), mean).astype(np.uint8)


def _picture(axes: Axes, picture: np.ndarray, **how: object) -> None:
    axes.imshow(picture, interpolation="nearest", **how)
    axes.set_axis_off()
