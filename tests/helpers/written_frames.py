"""Small frames and label maps, and how a test writes them."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (32, 64)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def cycle(*ids: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.resize(np.array(ids, np.uint8), size)
