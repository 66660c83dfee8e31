"""A batch of random numbers, as a training step gets it."""

import torch
from torch import Tensor

from dsrl_lib.config import Config


def random_batch(config: Config, classes: int, device: torch.device) -> dict[str, Tensor]:
    """`input` (B, 3, h, w), `hr` (B, 3, H, W) and `labels` (B, H, W), for crops at the input scale 0.5; uint8."""
    size, height, width = config.optim.batch_size, config.data.crop_height, config.data.crop_width
    shapes = {"input": (size, 3, height // 2, width // 2), "hr": (size, 3, height, width)}
    pictures = {name: torch.randint(256, shape, dtype=torch.uint8, device=device) for name, shape in shapes.items()}
    return pictures | {"labels": torch.randint(classes, (size, height, width), dtype=torch.uint8, device=device)}
