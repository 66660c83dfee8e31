"""Which inputs test-time augmentation makes of one image. Without torch: it is also a set of command line options."""

from dataclasses import dataclass
from typing import Annotated, Literal

from dsrl_lib.allowed import between, check

Mode = Literal["whole", "sliding", "pooling"]
Average = Literal["probabilities", "logits"]


@dataclass(frozen=True)
class TTA:
    """Test-time augmentation. The default is none: the whole image once, at its HR size, as the study evaluates."""

    mode: Mode = "whole"
    """whole: the image in one pass. sliding: in overlapping windows of the training crop. pooling: in one pass, and
    the output of a larger scale is averaged over areas instead of interpolated bilinearly."""
    scales: tuple[float, ...] = (1.0,)
    """Scales of the HR size; the network sees the image at each of them."""
    flip: bool = False
    """The network also sees the mirrored image."""
    average: Average = "probabilities"
    """What is averaged over windows, scales and flips."""
    overlap: float = 1 / 3
    """Overlap of neighbouring windows, as a share of the window."""

    def __post_init__(self) -> None:
        check("mode", self.mode, Mode)
        check("average", self.average, Average)
        check("flip", self.flip, bool)
        if not isinstance(self.scales, (tuple, list)) or not self.scales or not all(map(_is_scale, self.scales)):
            raise ValueError(f"scales = {self.scales}; allowed: one or more numbers above 0, at most 8")
        object.__setattr__(self, "scales", tuple(self.scales))  # a list has the same scales, and is not equal
        check("overlap", self.overlap, Annotated[float, between(0, 0.9)])  # towards 1 there is no end of windows
        if self.mode != "sliding" and self.overlap != type(self).overlap:
            raise ValueError(f"overlap = {self.overlap} with mode = {self.mode}, which has no windows; allowed: "
                             "mode = sliding")  # fmt: skip

    @property
    def none(self) -> bool:
        """Whether the network sees the plain input alone, so that there is nothing to average."""
        return self.mode == "whole" and self.scales == (1.0,) and not self.flip

    @property
    def gives_logits(self) -> bool:
        """Whether `mean_output` gives logits; else it gives probabilities."""
        return self.none or self.average == "logits"


def _is_scale(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value <= 8
