"""The picture that explains the method: what is trained, what is compared, and what stays at inference."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from study.figures.style import ARM_COLOURS, INK, chart, styled

STAYS, TRAINING = ARM_COLOURS["sssr_long"], "#8a8a8a"


@styled
def method_picture(image: np.ndarray, classes: np.ndarray, reconstruction: np.ndarray) -> Figure:
    """The two branches from an input to its two outputs; what inference drops is grey and dashed.

    image: the input of the network, uint8 (h, w, 3). classes: the predicted classes as colours, and reconstruction:
    uint8 (H, W, 3) each.
    """
    figure = chart(11, 4.1)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 110), ylim=(0, 41))
    axes.set_axis_off()
    _photo(axes, image, (2, 15.5, 12, 9), "input, H x W", INK)
    _box(axes, (19, 14, 15, 12), "encoder\nof any host", STAYS)
    _box(axes, (39, 26, 14, 8), "decoder\nof the host", STAYS)
    _box(axes, (58, 26, 16, 8), "SSSR head\n2 deconvolutions", STAYS)
    _photo(axes, classes, (79, 24.5, 16, 12), "classes, 2H x 2W", STAYS)
    _box(axes, (39, 5, 35, 8), "SISR head: ESPCN, sub-pixel shuffle", TRAINING)
    _photo(axes, reconstruction, (79, 3, 16, 12), "image, 2H x 2W", TRAINING)
    _box(axes, (47, 16.5, 22, 6), "FA: | S of SSSR - S of SISR |", TRAINING)
    for start, end in (((14.5, 20), (19, 20)), ((34, 22), (39, 29)), ((53, 30), (58, 30)), ((74, 30), (78.5, 30))):
        _arrow(axes, start, end, STAYS)
    for here, there in (((34, 18), (39, 10)), ((74, 9), (78.5, 9)), ((49, 26), (52, 22.5)), ((56, 13), (56, 16.5))):
        _arrow(axes, here, there, TRAINING)
    for y, text in ((30.5, "cross entropy\nwith labels, 2H x 2W"), (9, "squared error\nto the image, 2H x 2W")):
        axes.text(96.5, y, text, va="center", fontsize=8.5, color=INK)
    axes.text(71, 19.5, "pairs of places that only\none branch finds similar", va="center", fontsize=8.5, color=INK)
    axes.text(2, 38.5, "stays at inference", color=STAYS, fontsize=10, fontweight="bold", va="center")
    axes.text(2, 35, "training only", color=TRAINING, fontsize=10, fontweight="bold", va="center")
    return figure


def _box(axes: Axes, place: tuple[float, float, float, float], text: str, colour: str) -> None:
    x, y, width, height = place
    style = "--" if colour == TRAINING else "-"
    box = FancyBboxPatch((x, y), width, height, "round,pad=0,rounding_size=1.2", facecolor="white",
                         edgecolor=colour, linewidth=2, linestyle=style)  # fmt: skip
    axes.add_patch(box)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9.5, color=INK)


def _photo(axes: Axes, picture: np.ndarray, place: tuple[float, float, float, float], text: str, colour: str) -> None:
    x, y, width, height = place
    small = picture[:: max(1, len(picture) // 120), :: max(1, len(picture) // 120)]  # the file stays small
    axes.imshow(small, extent=(x, x + width, y, y + height), interpolation="none", aspect="auto", zorder=2)
    axes.set(xlim=(0, 110), ylim=(0, 41))
    axes.text(x + width / 2, y - 0.7, text, ha="center", va="top", fontsize=8.5, color=colour)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    style = "--" if colour == TRAINING else "-"
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, linewidth=1.8, color=colour,
                                   linestyle=style, shrinkA=0, shrinkB=0))  # fmt: skip
