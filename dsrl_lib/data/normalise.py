"""The one normalisation: ImageNet mean and standard deviation on RGB in [0, 1], applied on the device."""

import numpy as np
import torch
from torch import Tensor

from dsrl_lib.normalisation import MEAN, STD


def normalise(images: Tensor) -> Tensor:
    """uint8 RGB (B, 3, H, W) -> float32, zero mean and unit variance over ImageNet."""
    # In place: new memory for each of the four steps takes longer than the arithmetic.
    return (images / 255).sub_(_channels(MEAN, images)).div_(_channels(STD, images))


def denormalise(images: Tensor) -> Tensor:
    """The inverse, to RGB in [0, 1] (values outside are possible): (B, 3, H, W)."""
    return images.float() * _channels(STD, images) + _channels(MEAN, images)


def to_pixels(image: Tensor) -> np.ndarray:
    """The inverse for one image, rounded and clipped, as a picture: (1, 3, H, W) -> uint8 (H, W, 3)."""
    pixels = 255 * denormalise(image)[0].clamp(0, 1)  # (3, H, W)
    return pixels.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
    # Copied so, it does not wait until the device has done what is queued; `torch.tensor(..., device=...)` would.
    return torch.tensor(values).to(like.device, non_blocking=True)[:, None, None]  # (3, 1, 1)
