"""Paint functions put together from simple shapes in panel coordinates (metres)."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from .canvas import Paint

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]


def figure(*layers: tuple[int, Shape], mirror: float | None = None) -> Paint:
    """Paint (part, shape) pairs, the later over the earlier; `mirror` is the panel width to reflect s in."""

    def paint(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        if mirror is not None:
            s = np.float32(mirror) - s
        part = np.zeros(s.shape, np.uint8)
        for number, shape in layers:
            part[shape(s, y)] = number
        return part

    return paint


def box(s0: float, y0: float, s1: float, y1: float) -> Shape:
    """Axis-aligned rectangle."""
    return lambda s, y: (s >= s0) & (s <= s1) & (y >= y0) & (y <= y1)


def disc(s0: float, y0: float, radius: float) -> Shape:
    """Filled circle."""
    square = np.float32(radius * radius)
    return lambda s, y: (
        (s - np.float32(s0)) * (s - np.float32(s0)) + (y - np.float32(y0)) * (y - np.float32(y0)) <= square
    )


def trapezium(y0: float, y1: float, low: tuple[float, float], high: tuple[float, float]) -> Shape:
    """From y0 with s in `low` to y1 with s in `high`, straight edges between."""

    def inside(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        up = (y - np.float32(y0)) / np.float32(y1 - y0)
        left = np.float32(low[0]) + np.float32(high[0] - low[0]) * up
        right = np.float32(low[1]) + np.float32(high[1] - low[1]) * up
        return (up >= 0) & (up <= 1) & (s >= left) & (s <= right)

    return inside


def limb(start: tuple[float, float], end: tuple[float, float], radius: float) -> Shape:
    """All points within `radius` of the segment from start to end."""
    ds, dy = end[0] - start[0], end[1] - start[1]
    scale = np.float32(1 / max(ds * ds + dy * dy, 1e-9))
    square = np.float32(radius * radius)

    def inside(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        a, b = s - np.float32(start[0]), y - np.float32(start[1])
        along = np.clip((a * np.float32(ds) + b * np.float32(dy)) * scale, 0, 1)
        a, b = a - along * np.float32(ds), b - along * np.float32(dy)
        return a * a + b * b <= square

    return inside


def path(points: Sequence[tuple[float, float]], radius: float) -> Shape:
    """All points within `radius` of the open polygon through `points`."""
    limbs = [limb(a, b, radius) for a, b in pairwise(points)]

    def inside(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        found = limbs[0](s, y)
        for shape in limbs[1:]:
            found = found | shape(s, y)
        return found

    return inside
