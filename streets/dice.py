"""Random draws that are the same on every platform.

Only the raw bit stream and single IEEE operations are used: library samplers such as `normal` or `uniform`
may be compiled to different instructions on different machines, and then differ in the last bit.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
RGB = tuple[int, int, int]


class Dice:
    """A seeded source of draws; `keys` (non-negative integers) name the stream."""

    def __init__(self, *keys: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(keys)))

    def between(self, low: float, high: float) -> float:
        """A float in [low, high)."""
        return low + (high - low) * float(self._rng.random())

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return float(self._rng.random()) < probability

    def whole(self, low: int, high: int) -> int:
        """An integer in [low, high], both ends included."""
        return int(self._rng.integers(low, high + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[self.whole(0, len(options) - 1)]

    def field(self, *shape: int) -> np.ndarray:
        """int64 array of independent integers in [0, 256)."""
        return self._rng.integers(0, 256, shape)

    def near(self, colour: RGB, spread: int = 18) -> RGB:
        """A colour near the given one: a common change of brightness and a smaller one of hue."""
        grey = self.whole(-2 * spread, 2 * spread)
        red, green, blue = (min(255, max(0, c + grey + self.whole(-spread, spread))) for c in colour)
        return red, green, blue
