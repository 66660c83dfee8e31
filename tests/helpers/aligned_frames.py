"""Frames in which the colour of a pixel says its label, so that it shows if image and labels are not aligned."""

import numpy as np
import torch

from dsrl_lib.config import Data

BLOCK = 16
COLOURS = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [200, 200, 30]], np.uint8)
PLAIN = Data("camvid", 64, 96, 64, 96, scale_min=1.0, scale_max=1.0, flip=0.0, colour=0.0)


def aligned(height: int = 64, width: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of four random labels, and the image that paints each label in its colour."""
    blocks = np.random.default_rng(seed).integers(0, 4, (height // BLOCK, width // BLOCK), np.uint8)
    label = blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)
    return COLOURS[label], label


class Memory:
    """What TrainingSet needs of a Split, in memory."""

    def __init__(self, *pairs: tuple[np.ndarray, np.ndarray]) -> None:
        self.images = np.stack([image for image, _ in pairs])
        self.labels = np.stack([label for _, label in pairs])

    def __len__(self) -> int:
        return len(self.labels)


def read_colours(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) -> the label whose colour is nearest."""
    difference = image.permute(1, 2, 0).numpy().astype(int)[:, :, None] - COLOURS.astype(int)  # (H, W, 4, 3)
    return (difference**2).sum(-1).argmin(-1)


def inside(label: np.ndarray, margin: int) -> np.ndarray:
    """Pixels with nothing else within `margin`: there an interpolated colour is pure."""
    same = np.ones(label.shape, bool)
    for dy in range(-margin, margin + 1):
        for dx in range(-margin, margin + 1):
            shifted = np.roll(label, (dy, dx), (0, 1))
            same &= shifted == label
    same[:margin], same[-margin:], same[:, :margin], same[:, -margin:] = False, False, False, False
    return same & (label != 255)
