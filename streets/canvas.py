"""The drawing surface: a pinhole camera, and vertical panels painted through a depth buffer.

Everything above the ground is a vertical rectangle in the world, from the facade of a house to a pedestrian,
with a paint function that says which part of the object lies at (s, y): s metres along the panel, y metres
above the ground. All arithmetic is elementwise float32 or integer, so that every
platform draws the same pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from .dice import RGB
from .texture import Texture, sample

SUPERSAMPLING = 3  # odd, so that the centre of an output pixel is the centre of a drawn one
NEAREST = 0.8  # metres; anything closer is clipped
STILL, GROUND = -2, -1  # surfaces that are no panel: what stays where it is in the image, and the ground plane
Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
Metres = TypeVar("Metres", float, np.ndarray)


@dataclass(frozen=True)
class Camera:
    """Position in metres, focal length and principal point in drawn pixels; `bend` (1/m) curves the way."""

    rows: int
    columns: int
    focal: float
    centre: float
    horizon: float
    x: float
    y: float
    z: float
    bend: float

    def place(self, x: Metres, z: Metres) -> tuple[Metres, Metres]:
        """World (x, z) in metres -> lateral position and depth before the camera, in metres."""
        depth = z - self.z
        return x - self.x + self.bend * depth * depth, depth

    def row(self, y: float, depth: float) -> float:
        """Pixel row of the height y at a depth, both in metres."""
        return self.horizon + self.focal * (self.y - y) / depth

    def slopes(self, first: int, last: int) -> np.ndarray:
        """Lateral metres per metre of depth at the pixel columns first..last-1, float32."""
        columns = np.arange(first, last, dtype=np.float32)
        return (columns + np.float32(0.5 - self.centre)) / np.float32(self.focal)

    def drops(self, first: int, last: int) -> np.ndarray:
        """Metres below eye level per metre of depth at the pixel rows first..last-1, float32."""
        rows = np.arange(first, last, dtype=np.float32)
        return (rows + np.float32(0.5 - self.horizon)) / np.float32(self.focal)


@dataclass(frozen=True)
class Panel:
    """A vertical rectangle over the ground line (x0, z0)-(x1, z1), from height y0 to y1, in metres.

    `paint(s, y)` returns the part number at each point, 0 for nothing. `parts[n - 1]` is (label id, colour)
    of part n; colour None means see-through: labelled, but showing what is behind. `light` and `grain` are in
    1/256: the brightness and the strength of the texture. `thin` panels are at least one output pixel wide.
    """

    x0: float
    z0: float
    x1: float
    z1: float
    y0: float
    y1: float
    paint: Paint
    parts: tuple[tuple[int, RGB | None], ...]
    light: int = 256
    grain: int = 40
    thin: bool = False

    @property
    def see_through(self) -> bool:
        """Whether some part shows what is behind it."""
        return any(colour is None for _, colour in self.parts)


@dataclass
class Canvas:
    """Colours float32 (H, W, 3) in 0..255, label ids uint8 (H, W), depth in metres float32 (H, W).

    `surface` int32 (H, W) says what is labelled there: the number of a panel, or STILL or GROUND.
    """

    camera: Camera
    texture: Texture
    haze: RGB
    visibility: float
    rgb: np.ndarray = field(init=False)
    ids: np.ndarray = field(init=False)
    depth: np.ndarray = field(init=False)
    surface: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = self.camera.rows, self.camera.columns
        self.rgb = np.zeros((*shape, 3), np.float32)
        self.ids = np.zeros(shape, np.uint8)
        self.depth = np.full(shape, np.inf, np.float32)
        self.surface = np.full(shape, STILL, np.int32)

    def fade(self, colours: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Colours (..., 3) seen through `depth` metres of haze (broadcast against (...))."""
        share = (depth / (depth + np.float32(self.visibility)))[..., None]
        mist = np.array(self.haze, np.float32) - colours
        mist *= share
        mist += colours
        return mist

    def draw_all(self, panels: Sequence[Panel]) -> None:
        """Paint the opaque panels, the nearest first to spare hidden work, then the others from the back."""
        numbered = list(enumerate(panels))
        for i, panel in sorted((p for p in numbered if not p[1].see_through), key=lambda p: min(p[1].z0, p[1].z1)):
            self._draw(panel, i)
        for i, panel in sorted((p for p in numbered if p[1].see_through), key=lambda p: -max(p[1].z0, p[1].z1)):
            self._draw(panel, i)

    def _draw(self, panel: Panel, number: int) -> None:
        """Paint one panel where it is nearer than what is already drawn."""
        camera = self.camera
        (xa, za), (xb, zb) = camera.place(panel.x0, panel.z0), camera.place(panel.x1, panel.z1)
        if min(za, zb) < NEAREST and max(za, zb) < NEAREST + 0.1:
            return
        length = max(abs(panel.x1 - panel.x0), abs(panel.z1 - panel.z0))
        ends = []
        for x, z, x_other, z_other in ((xa, za, xb, zb), (xb, zb, xa, za)):
            if z < NEAREST:
                x, z = x + (x_other - x) * (NEAREST - z) / (z_other - z), NEAREST
            ends.append(camera.centre + camera.focal * x / z)
        left, right = min(ends), max(ends)
        if panel.thin and right - left < SUPERSAMPLING:
            left = (left + right - SUPERSAMPLING) / 2
            right = left + SUPERSAMPLING
        first, last = max(0, _round(left)), min(camera.columns, _round(right))
        if first >= last:
            return
        slope = camera.slopes(first, last)
        across = np.float32(xb - xa) - slope * np.float32(zb - za)
        across = np.where(np.abs(across) < 1e-6, np.float32(1e-6), across)
        along = np.clip((slope * np.float32(za) - np.float32(xa)) / across, 0, 1)  # (w,) share of the way a -> b
        depth = np.maximum(np.float32(za) + along * np.float32(zb - za), np.float32(NEAREST))  # (w,)
        reach = float(depth.min()), float(depth.max())
        top = max(0, min(_round(camera.row(panel.y1, z)) for z in reach))
        bottom = min(camera.rows, max(_round(camera.row(panel.y0, z)) for z in reach))
        if top >= bottom:
            return
        y = np.float32(camera.y) - camera.drops(top, bottom)[:, None] * depth  # (h, w)
        open_ = depth < self.depth[top:bottom, first:last]
        open_ &= (y >= np.float32(panel.y0)) & (y <= np.float32(panel.y1))
        row, column = np.nonzero(open_)
        s, y, depth = (along * np.float32(length))[column], y[row, column], depth[column]  # (n,) from here on
        where = (row + top) * camera.columns + (column + first)
        part = panel.paint(s, y)
        if not part.all():
            hit = np.flatnonzero(part)
            s, y, depth, where, part = s[hit], y[hit], depth[hit], where[hit], part[hit]
        part = part - 1
        self.depth.reshape(-1)[where] = depth
        self.surface.reshape(-1)[where] = number
        self.ids.reshape(-1)[where] = np.array([i for i, _ in panel.parts], np.uint8)[part]
        if panel.see_through:
            opaque = np.array([colour is not None for _, colour in panel.parts])
            hit = np.flatnonzero(opaque[part])
            s, y, depth, where, part = s[hit], y[hit], depth[hit], where[hit], part[hit]
        base = np.array([colour or (0, 0, 0) for _, colour in panel.parts], np.float32)[part]  # (n, 3)
        fine = sample(self.texture.fine, s * np.float32(23), y * np.float32(23)).astype(np.float32)
        broad = sample(self.texture.smooth, s * np.float32(11), y * np.float32(11)).astype(np.float32)
        gain = np.float32(panel.light / 256) + (fine + broad - 256) * np.float32(panel.grain / 32768)
        self.rgb.reshape(-1, 3)[where] = self.fade(base * gain[:, None], depth)


def _round(value: float) -> int:
    """To the nearest integer, halves up, with huge values kept within reach."""
    return int(max(-1e6, min(1e6, value)) + 0.5 + 1e6) - 1_000_000
