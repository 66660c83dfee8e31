"""Frames of a small CamVid."""

from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 6, 8


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def label(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 12, (HEIGHT, WIDTH), np.uint8)


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path
