"""Whether a picture fits into memory: where the CPU predicts, the system may kill a process that takes too much."""

import math
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from dsrl_lib.config import Config
from dsrl_lib.data.transforms import frame_size
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.cost import activation_peak_mib
from dsrl_lib.memory import free_bytes
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import DataError

MEASURED = (128, 256)
"""Height and width of the input whose memory is measured; that of others is in proportion."""
LARGE = 4_000_000
"""Pixels of a picture, or of the frame that the network makes of it; smaller ones are not looked at."""


class Room:
    """Compares pictures with the memory that is free."""

    def __init__(self, model: DSRL, config: Config, tta: TTA) -> None:
        self.model, self.config, self.tta = model, config, tta

    @cached_property
    def activations(self) -> float:
        """Bytes per pixel of the network's input that one pass takes at least."""
        # Its classes come at the size of the frame that would be reduced to this input, whatever the run's frames are.
        height, width = (round(side / self.config.frame_scale) for side in MEASURED)
        config = replace(self.config, data=replace(self.config.data, height=height, width=width))
        return activation_peak_mib(self.model, torch.zeros(1, 3, *MEASURED), config) * 2**20 / math.prod(MEASURED)

    def check(self, path: Path, height: int, width: int) -> None:
        """DataError that names the picture if it is too large. On a GPU, PyTorch says so itself."""
        # A thin picture becomes wide: it is brought to the height of the run's frames.
        frame = math.prod(frame_size((height, width), self.config.data, max(self.tta.scales)))
        if max(height * width, frame) < LARGE or next(self.model.parameters()).device.type != "cpu":
            return
        needed = 4 * self.model.host.classes * height * width  # the logits at the size of the picture
        if self.tta.mode != "sliding":
            needed += self.activations * frame * self.config.frame_scale**2
        _require(needed, f"{path} cannot be predicted: {height} x {width} pixels need")

    def check_input(self, name: str, pixels: int) -> None:
        """DataError with the name if an input, or a batch, of so many pixels is too large."""
        if pixels >= LARGE and next(self.model.parameters()).device.type == "cpu":
            _require(self.activations * pixels, f"{name}: needs")


def _require(needed: float, words: str) -> None:
    free = free_bytes()
    if needed > free:
        raise DataError(f"{words} {needed / 1e9:.1f} GB of memory or more, and {free / 1e9:.1f} GB are free")
