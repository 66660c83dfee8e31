"""The ground plane: road, sidewalks, verges and plots, with marks, cracks, joints, grain and shadows."""

from dataclasses import dataclass, field

import numpy as np

from .canvas import GROUND, Canvas
from .dice import RGB, Dice
from .ids import Id
from .texture import sample

ASPHALT: tuple[RGB, ...] = ((88, 88, 92), (112, 110, 110), (134, 130, 126), (74, 76, 82), (122, 122, 130))
PAVING: tuple[RGB, ...] = (
    (142, 136, 130),
    (118, 112, 110),
    (158, 146, 132),
    (104, 104, 106),
    (136, 112, 100),
)
GRASS: tuple[RGB, ...] = ((88, 102, 58), (112, 116, 70), (124, 110, 78), (76, 84, 50), (136, 124, 92))
MARK, RAIL, JOINT = 60, -46, -22  # brightness added to the surface


@dataclass(frozen=True)
class Plot:
    """Ground beyond the sidewalk on one side (-1 left, 1 right), from z0 to z1."""

    side: int
    z0: float
    z1: float
    label: Id


@dataclass
class Ground:
    """The plan of the street in metres: the road lies at |x| < road, the sidewalk reaches to |x| < front."""

    road: float
    verge: tuple[float, float]  # |x| range of a strip of grass within the sidewalk; empty where equal
    front: float
    lane: float
    lanes: int
    parking: float
    junctions: list[tuple[float, float]]
    tracks: tuple[float, ...]  # x of the middle of each tram track
    plots: list[Plot] = field(default_factory=list)
    shadows: list[tuple[float, float, float, float, float]] = field(default_factory=list)  # x0, x1, z0, z1, strength

    def paint(self, canvas: Canvas, dice: Dice) -> None:
        """Draw everything below the horizon of the canvas."""
        camera, texture = canvas.camera, canvas.texture
        top = int(camera.horizon) + 1
        depth = np.float32(camera.y) / camera.drops(top, camera.rows)[:, None]  # (h, 1)
        x = camera.slopes(0, camera.columns) * depth + np.float32(camera.x) - np.float32(camera.bend) * depth * depth
        z = depth + np.float32(camera.z)
        side = np.abs(x)
        fine = sample(texture.fine, x * 29, z * 29).astype(np.float32)
        broad = sample(texture.smooth, x * 7, z * 7).astype(np.float32)

        ids = np.full(x.shape, Id.SIDEWALK, np.uint8)
        wobble = (broad - 128) * np.float32(0.004)
        for plot in self.plots:
            inside = (z >= plot.z0) & (z < plot.z1)
            if inside.any():
                ids[inside & (x * plot.side > np.float32(self.front) + wobble)] = plot.label
        ids[(side > np.float32(self.verge[0]) + wobble) & (side < np.float32(self.verge[1]) - wobble)] = Id.TERRAIN
        road = side < np.float32(self.road)
        crossing = np.zeros(z.shape, bool)
        for z0, z1 in self.junctions:
            crossing |= (z >= z0) & (z < z1)
        ids[road | crossing] = Id.ROAD

        palette = np.zeros((256, 3), np.float32)
        palette[Id.ROAD] = dice.near(dice.pick(ASPHALT), 12)
        palette[Id.SIDEWALK] = dice.near(dice.pick(PAVING), 14)
        palette[Id.TERRAIN] = dice.near(dice.pick(GRASS), 14)
        palette[Id.PARKING] = dice.near(dice.pick((*ASPHALT, *PAVING)), 14)
        rough = np.full(256, 0.10, np.float32)
        rough[Id.TERRAIN], rough[Id.SIDEWALK] = 0.3, 0.14

        tone = self._details(x, z, side, road, crossing, broad, dice)
        tone += (fine + broad - 256) * rough[ids]
        shade = self._shade(x, z, broad)
        colours = (palette[ids] + tone[..., None]) * shade[..., None]
        canvas.rgb[top:] = canvas.fade(colours, depth)
        canvas.ids[top:] = ids
        canvas.surface[top:] = GROUND

    def _details(
        self, x: np.ndarray, z: np.ndarray, side: np.ndarray, road: np.ndarray, crossing: np.ndarray,
        broad: np.ndarray, dice: Dice,
    ) -> np.ndarray:  # fmt: skip
        """Brightness added by marks, cracks, repairs, rails, kerbs and joints, float32 like x."""
        open_road = road & ~crossing
        tone = np.zeros(x.shape, np.float32)
        patch = broad + (np.floor(x / 3) * 37 + np.floor(z / 5) * 61) % 97
        tone[(road | crossing) & (patch > 215)] = -14  # repairs
        crack = np.abs(broad - np.float32(dice.between(100, 150)))
        tone[(road | crossing) & (crack < 1.2)] = -38
        tile = np.float32(dice.between(0.5, 1.2))
        joint = (x / tile - np.floor(x / tile) < 0.06) | (z / tile - np.floor(z / tile) < 0.06)
        tone[~road & joint] = JOINT
        tone[(side > self.road) & (side < self.road + 0.16) & ~crossing] = 26  # kerb stones
        tone[(side > self.road - 0.3) & (side < self.road)] -= 16  # gutter

        worn = np.where(broad > 84, np.float32(MARK), np.float32(MARK / 3))
        dash = (z / 9 - np.floor(z / 9)) < 0.45
        for lane in range(self.lanes + 1):
            line = np.abs(side - np.float32(lane * self.lane)) < 0.075
            if lane == self.lanes and not self.parking:
                continue
            solid = lane in (0, self.lanes)
            tone = np.where(open_road & line & (dash | solid), worn, tone)
        for track in self.tracks:
            tone[(np.abs(np.abs(x - np.float32(track)) - np.float32(0.72)) < 0.06) & (road | crossing)] = RAIL
        for z0, z1 in self.junctions:
            for near in (z0 - 4.5, z1 + 1.0):
                stripe = (z > near) & (z < near + 3.2) & (x - np.floor(x) < 0.5)
                tone = np.where(open_road & stripe, worn, tone)
            stop = (z > z0 - 6.3) & (z < z0 - 5.8) & (x > 0)
            tone = np.where(open_road & stop, worn, tone)
        return tone

    def _shade(self, x: np.ndarray, z: np.ndarray, broad: np.ndarray) -> np.ndarray:
        """Share of the light that reaches the ground, float32 like x; edges follow the texture."""
        shade = np.ones(x.shape, np.float32)
        wobble = (broad - 128) * np.float32(0.003)
        for x0, x1, z0, z1, strength in self.shadows:
            rows = np.nonzero((z[:, 0] >= z0) & (z[:, 0] < z1))[0]
            if rows.size:
                window = np.s_[rows[0] : rows[-1] + 1]
                inside = (x[window] > np.float32(x0) + wobble[window]) & (x[window] < np.float32(x1) + wobble[window])
                shade[window][inside] = np.minimum(shade[window][inside], np.float32(1 - strength))
        return shade
