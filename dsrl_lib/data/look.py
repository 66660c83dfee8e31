"""Hue, grey and blur of a training image: the earlier systems' recipes add them to brightness, contrast and saturation.

torchvision computes them. The labels do not change. What lies outside the frame takes part, and is void.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dsrl_lib.config import Data

LEAST_SIGMA = 0.15
"""Of the blur, in HR pixels (Zhu et al. 2019, released code)."""


@dataclass(frozen=True)
class Look:
    """What changes in one image."""

    hue: float = 0.0
    """Turn of the hue, as a share of the colour circle."""
    grey: bool = False
    sigma: float = 0.0
    """Of the Gaussian blur, in HR pixels; 0: none."""


def draw_look(rng: np.random.Generator, data: Data) -> Look:
    """The hue uniform in [-hue, hue], grey and blur with their probabilities.

    A setting that is off draws nothing: samples of older runs stay as they were.
    """
    hue = rng.uniform(-data.hue, data.hue) if data.hue else 0.0
    grey = bool(data.grey and rng.random() < data.grey)
    blurred = data.blur and rng.random() < data.blur
    return Look(hue, grey, rng.uniform(LEAST_SIGMA, data.blur_sigma) if blurred else 0.0)


def apply_look(image: Tensor, look: Look) -> Tensor:
    """Hue, grey and blur in this order: uint8 (3, H, W) -> uint8 (3, H, W)."""
    if look == Look():
        return image
    from torchvision.transforms.v2 import functional  # lazy: it doubles the start

    if look.hue:
        image = functional.adjust_hue(image, look.hue)
    if look.grey:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    if look.sigma:
        radius = min(round(4 * look.sigma), *(side - 1 for side in image.shape[1:]))  # what is further weighs nothing
        image = functional.gaussian_blur(image, 2 * radius + 1, look.sigma)
    return image  # (3, H, W)
