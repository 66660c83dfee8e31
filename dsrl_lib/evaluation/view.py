"""How an image is looked at in prediction and scoring."""

from dataclasses import dataclass
from typing import Literal

MODES = ("whole", "sliding", "pooling")
AVERAGES = ("probabilities", "logits")


@dataclass(frozen=True)
class View:
    """How an image is looked at. The default is the plain evaluation of the study: once, whole, at its own scale."""

    mode: Literal["whole", "sliding", "pooling"] = "whole"
    """whole: in one pass. sliding: in overlapping windows of the training crop. pooling: in one pass, and scores of a
    larger scale come back by averaging over areas instead of bilinear interpolation."""
    scales: tuple[float, ...] = (1.0,)
    """The image is looked at at each of these scales of the HR size."""
    flip: bool = False
    """Also look at the mirrored image."""
    average: Literal["probabilities", "logits"] = "probabilities"
    """What is averaged over windows, scales and flips."""
    overlap: float = 1 / 3
    """Of neighbouring windows, as a share of the window."""

    def __post_init__(self) -> None:
        for name, allowed in (("mode", MODES), ("average", AVERAGES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        if not self.scales or not all(0 < scale <= 8 for scale in self.scales):
            raise ValueError(f"scales = {self.scales}; allowed: one or more numbers above 0, at most 8")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap = {self.overlap}; allowed: from 0 to below 1")
