"""Pictures beside pictures: predictions, reconstructions and affinity maps, from arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from dsrl_lib.data.class_tables import VOID, ClassTable, colourise
from study.figures.style import chart, rgb, styled

WRONG = (213, 94, 0)
UNKNOWN = (140, 140, 140)
GAIN = 4.0
"""The factor by which the absolute difference of a reconstruction is shown, mean over channels."""


@dataclass(frozen=True)
class Prediction:
    """One frame and what a network made of it."""

    title: str
    image: np.ndarray
    """uint8 (h, w, 3): any size."""
    truth: np.ndarray
    """(H, W) class ids, 255 is void."""
    prediction: np.ndarray
    """(H, W) class ids."""
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    """(H, W) class ids by the name of another network: what that one made of it."""


@styled
def predictions(rows: Sequence[Prediction], table: ClassTable) -> Figure:
    """Input, truth, prediction, those of other networks, and error for each frame; errors are orange, void is grey."""
    height, width = rows[0].truth.shape
    columns = 4 + max(len(row.others) for row in rows)
    figure = chart(2.6 * columns, 2.6 * height / width * len(rows) + 0.7)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        right = (row.prediction == row.truth)[..., None]
        faint = (190 + 0.25 * colourise(row.truth, table)).astype(np.uint8)
        error = np.where(right, faint, WRONG).astype(np.uint8)
        error[row.truth == VOID] = UNKNOWN
        maps = {"truth": row.truth, "prediction": row.prediction}
        maps |= {f"prediction of {name}": ids for name, ids in row.others.items()}
        known = row.truth != VOID
        accuracy = 100 * np.mean(row.prediction[known] == row.truth[known])
        pictures = {row.title: row.image} | {title: colourise(ids, table) for title, ids in maps.items()}
        pictures[f"errors ({accuracy:.1f} % of pixels right)"] = error
        for cell, (title, picture) in zip(axes, pictures.items(), strict=True):
            _show(cell, picture, title)
    shown = [ids for row in rows for ids in (row.truth, row.prediction, *row.others.values())]
    present = np.unique(np.concatenate([ids[ids != VOID] for ids in shown]))
    handles = [Patch(color=rgb(table.colours[k]), label=table.classes[k]) for k in present]
    handles += [
        Patch(color="black", label="void (truth)"),
        Patch(color=rgb(WRONG), label="errors: wrong"),
        Patch(color=rgb(UNKNOWN), label="errors: void"),
        Patch(facecolor="#e6e6e6", edgecolor="#999999", label="errors: right (pale class)"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), fontsize=7,
                  columnspacing=1.2)  # fmt: skip
    return figure


@styled
def reconstructions(rows: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Target, bicubic upsampling of the input, reconstruction and its difference from the target, white for none.

    rows: title, then target, upsampled input and reconstruction, uint8 (H, W, 3) each.
    """
    height, width = rows[0][1].shape[:2]
    figure = chart(12.8, 3.2 * height / width * len(rows) + 0.3)
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for axes, (title, target, bicubic, made) in zip(grid, rows, strict=True):
        _show(axes[0], target, title)
        for place, (name, picture) in enumerate({"bicubic": bicubic, "reconstruction": made}.items(), 1):
            gap = target.astype(float) - picture.astype(float)  # (H, W, 3)
            psnr = 10 * np.log10(255**2 / max(np.mean(gap**2), 1e-12))
            _show(axes[place], picture, f"{name}, PSNR {psnr:.1f} dB")
        strength = GAIN * np.abs(gap).mean(-1)  # (H, W)
        _show(axes[3], strength, f"|reconstruction − image| × {GAIN:g}, white: none", cmap="magma_r", vmin=0, vmax=255)
    return figure


@styled
def affinity(image: np.ndarray, maps: Mapping[str, np.ndarray], pixel: tuple[float, float]) -> Figure:
    """How similar every place is to one reference pixel, in each branch.

    image: uint8 (H, W, 3). maps: name -> (h, w), the reference row of the affinity matrix, any size.
    pixel: (y, x) of the reference as fractions of height and width. All maps share one colour scale.
    """
    height, width = image.shape[:2]
    figure = chart(3.3 * (len(maps) + 1) + 0.5, 3.3 * height / width + 0.4)
    axes = figure.subplots(1, len(maps) + 1)
    _show(axes[0], image, "reference pixel")
    axes[0].plot(*_at(image, pixel), "+", color="#D55E00", markersize=14, markeredgewidth=2.4)
    low = min(0.0, *(float(values.min()) for values in maps.values()))
    high = max(float(values.max()) for values in maps.values())
    for cell, (name, values) in zip(axes[1:], maps.items(), strict=True):
        shown = _show(cell, values, name, cmap="viridis", vmin=low, vmax=high)
        cell.plot(*_at(values, pixel), "+", color="#D55E00", markersize=14, markeredgewidth=2.4)
    figure.colorbar(shown, cax=cell.inset_axes((1.03, 0, 0.04, 1)), label="affinity")  # as tall as the map
    return figure


def _at(picture: np.ndarray, pixel: tuple[float, float]) -> tuple[float, float]:
    """Position of the pixel on a picture, x first, where matplotlib puts it."""
    height, width = picture.shape[:2]
    return pixel[1] * width - 0.5, pixel[0] * height - 0.5


def _show(axes: Axes, picture: np.ndarray, title: str, **how: Any) -> AxesImage:
    axes.set_title(title, fontsize=8.5, fontweight="normal")
    axes.set_axis_off()
    return axes.imshow(picture, interpolation="nearest", **how)
