"""Exact motion between two frames of a scene, from the geometry that draws them: an oracle for optical flow."""

from collections.abc import Sequence

import numpy as np

from .canvas import GROUND, NEAREST, SUPERSAMPLING, Camera, Canvas, Panel
from .scene import shot


def flow(
    frame: int,
    source: int,
    *,
    seed: int = 0,
    split: str = "train",
    index: int = 0,
    height: int = 128,
    width: int = 256,
) -> np.ndarray:
    """For each pixel of `frame`, the rows and columns to where its surface is at `source`, float32 (H, W, 2).

    The other arguments as for `scene`. What the pixel shows may be hidden or outside there: the flow says where it
    would be. Sky and the camera's own car do not move in the image. A see-through part moves as what is labelled.
    """
    where = (seed, split, index)
    other = shot(*where, source, height, width)
    taken = shot(*where, frame, height, width)
    return displacement(taken.draw(), taken.street.panels, other.camera, other.street.panels)


def displacement(canvas: Canvas, panels: Sequence[Panel], camera: Camera, moved: Sequence[Panel]) -> np.ndarray:
    """The same from a drawn canvas and its panels to another camera, before which the same panels stand as `moved`."""
    middle = slice(SUPERSAMPLING // 2, None, SUPERSAMPLING)  # the drawn pixels that output pixels have as centres
    before = canvas.camera
    surface = canvas.surface[middle, middle]  # (H, W), and so all that follows
    slope, drop = np.broadcast_arrays(
        before.slopes(0, before.columns)[middle].astype(np.float64),
        before.drops(0, before.rows)[middle, None].astype(np.float64),
    )
    row, column = before.horizon + before.focal * drop, before.centre + before.focal * slope
    found = np.zeros((*surface.shape, 2))
    for number in np.unique(surface[surface >= GROUND]).tolist():
        at = surface == number
        if number == GROUND:
            lateral, depth, height = _on_ground(before, camera, slope[at], drop[at])
        else:
            lateral, depth, height = _on_panel(before, camera, slope[at], drop[at], panels[number], moved[number])
        gone = depth < NEAREST  # beside or behind the camera: as far as a frame away
        depth = np.maximum(depth, NEAREST)
        rows = camera.horizon + camera.focal * (camera.y - height) / depth - row[at]
        columns = camera.centre + camera.focal * lateral / depth - column[at]
        found[at, 0] = np.where(gone, before.rows, rows)
        found[at, 1] = np.where(gone, before.columns, columns)
    return (found / SUPERSAMPLING).astype(np.float32)


def _on_ground(
    before: Camera, camera: Camera, slope: np.ndarray, drop: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lateral position, depth and height before the other camera of points of the ground, in metres."""
    depth = before.y / drop
    x = slope * depth + before.x - before.bend * depth * depth
    lateral, depth = camera.place(x, depth + before.z)
    return lateral, depth, np.zeros_like(depth)


def _on_panel(
    before: Camera, camera: Camera, slope: np.ndarray, drop: np.ndarray, panel: Panel, moved: Panel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of points of a panel. Those beside a thin one, which is drawn wider than it is, move with its line."""
    (xa, za), (xb, zb) = before.place(panel.x0, panel.z0), before.place(panel.x1, panel.z1)
    across = (xb - xa) - slope * (zb - za)
    along = (slope * za - xa) / np.where(np.abs(across) < 1e-6, 1e-6, across)  # share of the way a -> b
    height = before.y - drop * (za + along * (zb - za))
    (xa, za), (xb, zb) = camera.place(moved.x0, moved.z0), camera.place(moved.x1, moved.z1)
    return xa + along * (xb - xa), za + along * (zb - za), height
