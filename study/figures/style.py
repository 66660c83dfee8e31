"""One look for all figures: sizes, fonts, and a fixed colour for each arm. Nothing global is changed."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from study.figures.described import described

STYLE: dict[Any, Any] = {  # the stub of matplotlib lists the keys
    "figure.dpi": 110,
    "savefig.dpi": 200,
    "savefig.bbox": "tight",
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "dsrl",
    "pdf.fonttype": 42,
}
styled = matplotlib.rc_context(STYLE)
"""Decorator: a function that draws with STYLE."""

FORMATS = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}
"""What figures can be written as, and what is left out of each so that equal figures give equal bytes."""

INK = "#222222"
BAND = "#e9e9e9"
"""Effects that are smaller than the smallest one of interest."""

# Okabe and Ito's palette, safe for colour-blind readers; one family of arms, one hue.
ARM_COLOURS = {
    "lr": "#7f7f7f",
    "bilinear": "#E69F00",
    "sssr": "#56B4E9",
    "sssr_long": "#0072B2",
    "sssr_random": "#8C6BB1",
    "sssr_sisr": "#66C2A5",
    "sssr_sisr_long": "#009E73",
    "dsrl": "#D55E00",
    "dsrl_joint": "#7F2704",
    "sisr_frozen": "#CC79A7",
    "sisr_noise": "#A6761D",
    "mac_matched": "#B8A900",
    "hr": "#222222",
    "relaxed": "#882255",
    "relaxed_2": "#AA4499",
    "relaxed_off": "#332288",
    "relaxed_moved": "#117733",
    "border_void": "#44AA99",
    "sssr_sisr_res": "#A6D854",
    "sssr_sisr_res_long": "#66A61E",
    "dsrl_res": "#FC8D59",
    "sssr_sisr_detail": "#80CDC1",
    "sssr_sisr_detail_long": "#01665E",
    "dsrl_detail": "#A63603",
    "uniform_point": "#C49C94",
    "uniform_macs": "#9E9AC8",
    "adaptive_oracle": "#1B9E77",
    "adaptive_oracle_fine": "#00441B",
    "adaptive": "#4D004B",
    "adaptive_mean": "#8C96C6",
    "adaptive_swap": "#E7298A",
    "uniform_jitter": "#666633",
    "moving_one": "#7f7f7f",
    "moving_joint": "#D55E00",
    "moving_labels": "#0072B2",
    "moving_exact": "#009E73",
    "moving_shuffled": "#CC79A7",
    "moving_true": "#222222",
}


def colour(arm: str) -> str:
    """The colour of an arm and its variants in every figure; cells of the FA factorial have a light one of `dsrl`."""
    return ARM_COLOURS.get(arm.partition("@")[0], "#F2A777")


class Chart(Figure):
    """A figure that notebooks show by itself, without pyplot and its global state."""

    @styled
    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=STYLE["figure.dpi"])
        return buffer.getvalue(), {"alt": described(self)}


def chart(width: float, height: float) -> Chart:
    """An empty figure of this size in inches; call it from a `styled` function."""
    return Chart(figsize=(width, height), layout="constrained")


def rgb(levels: Sequence[int]) -> tuple[float, float, float]:
    """A colour of a table, levels from 0 to 255, as matplotlib takes it."""
    red, green, blue = (level / 255 for level in levels)
    return red, green, blue


@styled
def save(figure: Figure, path: Path) -> Path:
    """Write a figure as .svg, .pdf (vector graphics) or .png (200 dpi). Equal figures give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix not in FORMATS:
        raise ValueError(f"figure format {path.suffix!r}; allowed: {', '.join(FORMATS)}")
    figure.savefig(path, metadata=FORMATS[path.suffix])
    return path
