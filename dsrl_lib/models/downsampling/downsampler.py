"""The part of a network that samples the frame for the host and brings its maps back to all pixels."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.allowed import above, check
from dsrl_lib.config import Downsampling
from dsrl_lib.models.downsampling.auxiliary import LocationNetwork
from dsrl_lib.models.downsampling.inverse import at_places, grid_coordinates
from dsrl_lib.models.downsampling.locations import resize_locations, unfolded, uniform_locations
from dsrl_lib.models.downsampling.sampler import sample
from dsrl_lib.models.sizes import scaled

GIVEN = ("oracle", "jitter")
"""Locations that come from true labels: whoever calls the network has to give them."""


class Downsampler(nn.Module):
    """Frames (B, 3, H, W) -> samples (B, 3, h, w), and maps of the samples -> maps of the frame.

    settings: where the samples lie; ValueError for locations = none. scale: h / H = w / W, of any frame.
    """

    def __init__(self, settings: Downsampling, scale: float) -> None:
        super().__init__()
        sampling = Literal["uniform", "mean", "predicted", "oracle", "jitter"]
        check("downsampling.locations", settings.locations, sampling)
        check("scale", scale, Annotated[float, above(0)])
        self.settings, self.scale = settings, scale
        grid = (settings.rows, settings.columns)
        if settings.locations == "predicted":
            self.auxiliary = LocationNetwork(grid)
        if settings.locations in ("uniform", "mean"):
            self.register_buffer("fixed", uniform_locations(grid))  # (n, m, 2); training puts the mean there

    @property
    def given(self) -> bool:
        """Whether `forward` needs locations."""
        return self.settings.locations in GIVEN

    @property
    def alone(self) -> bool:
        """Whether a training step is of the auxiliary network alone."""
        return self.training and self.settings.stage == "locations"

    def predicted(self, frame: Tensor) -> Tensor:
        """What the auxiliary network says, (B, n, m, 2): the locations before folds are repaired."""
        with torch.autocast(frame.device.type, enabled=False):  # 8 bits are too few to place a sample
            return self.auxiliary(frame.float())

    def size(self, frame: Tensor) -> tuple[int, int]:
        """(h, w) of the samples of a frame (B, 3, H, W)."""
        return scaled(frame.shape[2], self.scale), scaled(frame.shape[3], self.scale)

    def forward(self, frame: Tensor, locations: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The samples, (B, 3, h, w), and where each pixel of the frame lies among them, (B, H, W, 2), for `back`.

        frame: (B, 3, H, W), normalised. locations: (B, n, m, 2), or (1, n, m, 2) for all; None: those of this part.
        ValueError if it needs them and there are none.
        """
        if locations is None:
            locations = self._own(frame)
        locations = locations.detach().expand(frame.shape[0], -1, -1, -1)
        if self.settings.swapped and self.training:
            # Evaluation takes those of another frame of the split; a batch is what a training step has.
            locations = locations.roll(1, 0)
        with torch.autocast(frame.device.type, enabled=False):
            frame, grid = frame.float(), resize_locations(locations, self.size(frame))  # (B, h, w, 2)
            places = grid_coordinates(grid, tuple(frame.shape[2:]))  # (B, H, W, 2)
            samples = sample(frame, grid, filter=self.settings.filter, places=places)
        return samples.contiguous(memory_format=torch.channels_last), places  # (B, 3, h, w), (B, H, W, 2)

    def back(self, scores: Tensor, places: Tensor, frame: Tensor) -> Tensor:
        """A map of the samples at any size, (B, C, a, b) -> (B, C, H, W), float32."""
        # DEVIATION: adaptive downsampling trains on all pixels of the frame, after the inverse. The paper (Marin et
        # al.) trains on the labels of the samples, where pixels near boundaries count more than others.
        with torch.autocast(scores.device.type, enabled=False):
            return at_places(scores, places, sampled=self.size(frame))

    def evenly(self, frame: Tensor) -> Tensor:
        """The frame at the size of its samples, evenly reduced: what the host alone would see."""
        return F.interpolate(frame, self.size(frame), mode="bilinear", align_corners=False, antialias=True)

    def _own(self, frame: Tensor) -> Tensor:
        if self.given:
            raise ValueError(
                f"downsampling.locations = {self.settings.locations} are made of true labels, and none came with this "
                "frame: predict or evaluate the frames of a split, such as camvid:val"
            )
        return unfolded(self.predicted(frame)) if self.settings.locations == "predicted" else self.fixed[None]


def without_labels(network: nn.Module) -> Callable[[Tensor], dict[str, Tensor]]:
    """The network as a function of x alone, for measuring: locations that it should be given become a uniform grid."""
    part = getattr(network, "downsampling", None)
    if part is None or not part.given:
        return network
    uniform = uniform_locations((part.settings.rows, part.settings.columns))[None]
    return partial(network, locations=uniform.to(next(network.parameters()).device))
