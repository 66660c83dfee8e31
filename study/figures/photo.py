"""A figure of photographs, shown as JPEG: an executed notebook is in git, and PNG would take ten times the bytes."""

import io
from dataclasses import dataclass

from matplotlib.figure import Figure

from dsrl_lib.own_data import dataset as entry_of
from study.figures.described import described
from study.figures.notes import Note
from study.figures.style import STYLE, styled


@dataclass(frozen=True)
class Photo:
    """What a notebook shows in place of `figure`. For a chart PNG is both smaller and sharper."""

    figure: Figure
    quality: int = 80

    def _repr_jpeg_(self) -> tuple[bytes, dict[str, str]]:
        return self.jpeg(), {"alt": described(self.figure)}

    @styled
    def jpeg(self) -> bytes:
        """The picture as a file."""
        buffer = io.BytesIO()
        how = {"quality": self.quality, "optimize": True}
        self.figure.savefig(buffer, format="jpeg", dpi=STYLE["figure.dpi"], pil_kwargs=how)
        return buffer.getvalue()


def withheld(dataset: str) -> Note | None:
    """What a notebook shows instead of pictures and label maps of a data set whose terms withhold them; else None."""
    if not entry_of(dataset).withheld:
        return None
    return Note(f"No picture: the terms of {dataset} do not allow publishing its frames or label maps.")
