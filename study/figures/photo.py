"""A figure of photographs, shown as JPEG: an executed notebook is in git, and PNG would take ten times the bytes."""

import io
from dataclasses import dataclass

from matplotlib.figure import Figure

from study.figures.style import STYLE, styled


@dataclass(frozen=True)
class Photo:
    """What a notebook shows in place of `figure`. For a chart PNG is both smaller and sharper."""

    figure: Figure
    quality: int = 80

    @styled
    def _repr_jpeg_(self) -> bytes:
        buffer = io.BytesIO()
        how = {"quality": self.quality, "optimize": True}
        self.figure.savefig(buffer, format="jpeg", dpi=STYLE["figure.dpi"], pil_kwargs=how)
        return buffer.getvalue()
