"""The data of a profile in pictures: share of each class, frames beside labels, a training sample."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dsrl_lib.data.class_tables import VOID, ClassTable, colourise
from study.figures.photo import Photo
from study.figures.style import chart, rgb, styled

LOOKS = (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "D"), ("#CC79A7", "^"))
"""Colour and marker of each column."""


@styled
def class_share_chart(shares: pd.DataFrame) -> Figure:
    """Share of the labelled pixels in percent, on a logarithmic axis. One row per class, up to four columns.

    Points and not bars: on a logarithmic axis the length of a bar means nothing. A share of zero has no point.
    """
    figure = chart(7.6, 1.0 + (0.14 + 0.07 * shares.shape[1]) * len(shares))
    axes = figure.subplots()
    values = shares.where(shares > 0).to_numpy(float)
    floor = 10.0 ** np.floor(np.log10(0.9 * np.nanmin(values, initial=100)))  # a whole decade, named on the axis
    rows = np.arange(len(shares))
    number = shares.shape[1]
    for place, ((hue, marker), name) in enumerate(zip(LOOKS[:number], shares, strict=True)):
        beside = rows + 0.6 / number * (place - (number - 1) / 2)
        axes.plot(values[:, place], beside, marker, color=hue, markersize=5.5, label=name)
    axes.set(xscale="log", xlabel="share of the labelled pixels (percent), logarithmic", xlim=(floor, 100))
    axes.set_yticks(rows, shares.index)
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.hlines(rows[1:] - 0.5, floor, 100, color="#e4e4e4", linewidth=0.6, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside upper center", ncols=number)
    return figure


@styled
def label_pictures(images: Sequence[np.ndarray], labels: Sequence[np.ndarray], table: ClassTable) -> Photo:
    """Frames, uint8 (H, W, 3), above their label maps, (H, W), and the colours of the classes; void is black."""
    height, width = labels[0].shape
    figure = chart(8.4, 1.1 + 2 * 8.2 / len(images) * height / width)
    for number, (column, image, label) in enumerate(
        zip(figure.subplots(2, len(images), squeeze=False).T, images, labels, strict=True), 1
    ):
        shown = {f"frame {number}": image, "its labels": colourise(np.array(label), table)}
        for axes, (title, picture) in zip(column, shown.items(), strict=True):
            _picture(axes, picture)
            axes.set_title(title, fontsize=8.5)
    present = sorted({int(k) for label in labels for k in np.unique(label)} - {VOID})
    handles = [Patch(color=rgb(table.colours[k]), label=table.classes[k]) for k in present]
    handles.append(Patch(color="black", label="void"))
    figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=7.5, columnspacing=1.2)
    return Photo(figure)


@styled
def sample_pictures(pictures: Mapping[str, np.ndarray]) -> Photo:
    """The pictures of one training sample, (h, w, 3) each at its own size, and the middle quarter of each enlarged."""
    height, width = max(picture.shape[:2] for picture in pictures.values())
    figure = chart(8.4, 0.6 + 2 * 8.2 / len(pictures) * height / width)
    grid = figure.subplots(2, len(pictures), squeeze=False)
    for (whole, part), (title, picture) in zip(grid.T, pictures.items(), strict=True):
        rows, columns = (slice(3 * side // 8, 5 * side // 8) for side in picture.shape[:2])
        _picture(whole, picture, extent=(0, width, height, 0))
        whole.set_title(f"{title}, {picture.shape[0]} x {picture.shape[1]}", fontsize=8.5)
        _picture(part, picture[rows, columns], extent=(0, width, height, 0))
        part.set_title("its middle, enlarged", fontsize=8.5, fontweight="normal")
    return Photo(figure)


def paint_sets(sets: np.ndarray, table: ClassTable) -> np.ndarray:
    """A picture of the classes that are right at each pixel, as bits (H, W): uint8 (H, W, 3).

    One class has its colour, paled; several have their mean colour; none is black.
    """
    members = (sets[..., None] >> np.arange(len(table.classes))) & 1  # (H, W, K)
    size = members.sum(-1, keepdims=True)
    mean = members @ np.array(table.colours, float) / np.maximum(size, 1)  # (H, W, 3)
    return np.where(size == 1, 255 - 0.35 * (255 - mean), mean).astype(np.uint8)


def _picture(axes: Axes, picture: np.ndarray, **how: Any) -> None:
    axes.imshow(picture, interpolation="nearest", **how)
    axes.set_axis_off()
