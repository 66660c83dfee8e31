"""Tileable integer noise, sampled by world position so that a surface keeps it as the camera moves."""

import numpy as np

from .dice import Dice

SIZE = 256


def _octave(dice: Dice, cell: int) -> np.ndarray:
    """Bilinear value noise with the given lattice cell -> int64 (SIZE, SIZE) in [0, 256)."""
    lattice = dice.field(SIZE // cell, SIZE // cell)
    lattice = np.pad(lattice, ((0, 1), (0, 1)), mode="wrap")
    low, part = np.divmod(np.arange(SIZE), cell)
    rows = lattice[low] * (cell - part)[:, None] + lattice[low + 1] * part[:, None]
    return (rows[:, low] * (cell - part) + rows[:, low + 1] * part) // (cell * cell)


class Texture:
    """Noise in [0, 256): `smooth` has features of 16 to 64 cells, `fine` of 1 to 8 cells."""

    def __init__(self, dice: Dice) -> None:
        broad = 2 * _octave(dice, 64) + 2 * _octave(dice, 32) + _octave(dice, 16)
        fine = 2 * _octave(dice, 8) + 2 * _octave(dice, 4) + _octave(dice, 1)
        self.smooth = np.ascontiguousarray(broad // 5, np.uint8)
        self.fine = np.ascontiguousarray(fine // 5, np.uint8)


def sample(table: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Nearest entry of a (SIZE, SIZE) table at cell positions a, b (broadcast, any sign) -> uint8."""
    i = np.floor(a).astype(np.int32) & (SIZE - 1)
    j = np.floor(b).astype(np.int32) & (SIZE - 1)
    return table.reshape(-1)[i * SIZE + j]
