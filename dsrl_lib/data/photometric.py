"""Photometric augmentation of a training image: its labels do not change.

Brightness, contrast and saturation are those of the study. The earlier systems' recipes add hue, grey and blur, which
torchvision computes, also of what lies outside the frame.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsrl_lib.config import Data

LUMA = (0.2989, 0.587, 0.114)
"""Grey level of an RGB colour (ITU-R BT.601)."""

Colour = tuple[float, float, float]

LEAST_SIGMA = 0.15
"""Of the blur, in HR pixels (Zhu et al. 2019, released code)."""


def draw_colour(rng: np.random.Generator, strength: float) -> Colour:
    """Factors of brightness, contrast and saturation, each uniform in [1 - strength, 1 + strength]."""
    brightness, contrast, saturation = rng.uniform(max(0.0, 1 - strength), 1 + strength, 3)
    return brightness, contrast, saturation


def jitter_colour(image: Tensor, colour: Colour) -> Tensor:
    """Brightness, contrast and saturation in this order, as torchvision defines them, of uint8 (3, H, W).

    The three are one affine map of the colours, so they are applied at once, rounded and clipped once.
    """
    brightness, contrast, saturation = colour
    if colour == (1, 1, 1):
        return image
    pixels = image.reshape(3, -1).float()  # (3, H W)
    luma = torch.tensor(LUMA)
    grey = (luma @ pixels.mean(1)).item()
    mix = contrast * brightness * (saturation * torch.eye(3) + (1 - saturation) * luma)
    shift = (1 - contrast) * brightness * grey + 0.5  # the half makes truncation round
    pixels = (mix @ pixels).add_(shift).clamp_(0, 255)
    return pixels.to(torch.uint8).reshape(image.shape)


@dataclass(frozen=True)
class Effects:
    """Hue, grey and blur of one image."""

    hue: float = 0.0
    """Turn of the hue, as a share of the colour circle."""
    grey: bool = False
    sigma: float = 0.0
    """Of the Gaussian blur, in HR pixels; 0: none."""


def draw_effects(rng: np.random.Generator, data: Data) -> Effects:
    """The hue uniform in [-hue, hue], grey and blur with their probabilities.

    A setting that is off draws nothing: samples of older runs stay as they were.
    """
    hue = rng.uniform(-data.hue, data.hue) if data.hue else 0.0
    grey = bool(data.grey and rng.random() < data.grey)
    blurred = data.blur and rng.random() < data.blur
    return Effects(hue, grey, rng.uniform(LEAST_SIGMA, data.blur_sigma) if blurred else 0.0)


def apply_effects(image: Tensor, effects: Effects) -> Tensor:
    """Hue, grey and blur in this order: uint8 (3, H, W) -> uint8 (3, H, W)."""
    if effects == Effects():
        return image
    from torchvision.transforms.v2 import functional  # lazy: it doubles the start

    if effects.hue:
        image = functional.adjust_hue(image, effects.hue)
    if effects.grey:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    if effects.sigma:
        radius = min(round(4 * effects.sigma), *(side - 1 for side in image.shape[1:]))  # further ones weigh nothing
        image = functional.gaussian_blur(image, 2 * radius + 1, effects.sigma)
    return image  # (3, H, W)
