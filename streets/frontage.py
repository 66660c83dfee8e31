"""What lines the street: buildings, walls, fences, trees and hedges."""

from collections.abc import Callable

import numpy as np

from .canvas import Paint, Panel
from .dice import RGB, Dice
from .ids import Id
from .shapes import figure, limb
from .texture import Texture, sample

WALLS: tuple[RGB, ...] = (
    (172, 160, 140), (146, 138, 128), (128, 82, 66), (152, 108, 82), (196, 190, 178), (112, 112, 114),
    (92, 98, 106), (182, 156, 112), (140, 148, 150), (104, 90, 80), (210, 208, 204), (126, 134, 118),
)  # fmt: skip
LEAVES: tuple[RGB, ...] = (
    (62, 82, 44),
    (84, 98, 54),
    (52, 66, 44),
    (104, 108, 60),
    (128, 104, 56),
    (74, 72, 48),
)
GLASS: tuple[RGB, ...] = ((48, 56, 64), (70, 82, 94), (40, 42, 46), (92, 106, 118))


def facade(dice: Dice, height: float) -> tuple[Paint, tuple[tuple[int, RGB], ...]]:
    """A wall with windows, and shops or doors on the ground floor."""
    wall = dice.near(dice.pick(WALLS), 16)
    storey, pitch = dice.between(2.8, 3.8), dice.between(1.6, 4.2)
    wide, high = dice.between(0.4, 0.75), dice.between(0.4, 0.7)
    if dice.chance(0.2):  # a glass front
        wide, high = 0.92, 0.86
    ground, shop = dice.between(3.2, 4.4), dice.chance(0.5)
    course = dice.pick((0.0, 0.24, 0.6, 1.2))
    light = dice.field(64, 64)
    eaves = height - dice.between(0.3, 0.8)

    def paint(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        part = np.ones(s.shape, np.uint8)
        if course:
            row = y / np.float32(course)
            part[row - np.floor(row) < 0.12] = 2
        bay, floor_ = s / np.float32(pitch), (y - np.float32(ground)) / np.float32(storey)
        i, j = np.floor(bay), np.floor(floor_)
        a, b = np.abs(bay - i - np.float32(0.5)) * 2, np.abs(floor_ - j - np.float32(0.5)) * 2
        upper = (y > ground) & (y < eaves - 0.2)
        window = upper & (a < wide) & (b < high)
        lit = light[i.astype(np.int32) & 63, j.astype(np.int32) & 63]
        part[upper & (a < wide + 0.1) & (b < high + 0.1)] = 5
        part[window] = 3
        part[window & (lit > 176)] = 4
        part[window & (a < 0.06)] = 5
        low = y < ground - 0.5
        part[(y > ground - 0.5) & (y < ground - 0.1)] = 6
        if shop:
            part[low & (y > 0.5) & (a < 0.86)] = 3
            part[low & (y > 0.5) & (a < 0.86) & (lit > 128)] = 4
        else:
            part[low & (y > 1.1) & (a < wide) & (y < ground - 1.0)] = 3
            part[low & (y < 2.2) & (a < 0.5) & (lit > 200)] = 6
        part[y > eaves] = 6
        return part

    dark = (wall[0] * 3 // 4, wall[1] * 3 // 4, wall[2] * 3 // 4)
    trim = dice.near(dice.pick(((206, 202, 192), (90, 84, 78), (150, 142, 132))), 12)
    accent = dice.near(dice.pick((*WALLS, (120, 44, 40), (50, 70, 96))), 20)
    colours = (
        wall,
        dark,
        dice.pick(GLASS),
        dice.near(dice.pick((*GLASS, (214, 196, 150))), 16),
        trim,
        accent,
    )
    return paint, tuple((Id.BUILDING, colour) for colour in colours)


def building(dice: Dice, x: float, z0: float, z1: float, light: int) -> list[Panel]:
    """A house whose street front lies at x from z0 to z1, with its end wall facing the camera."""
    height = dice.between(5.5, 13.0) if dice.chance(0.65) else dice.between(13.0, 30.0)
    paint, parts = facade(dice, height)
    depth = dice.between(8.0, 14.0)
    x_out = x + depth if x > 0 else x - depth
    return [
        Panel(x, z0, x, z1, 0.0, height, paint, parts, light, 56),
        Panel(min(x, x_out), z0, max(x, x_out), z0, 0.0, height, paint, parts, 225, 56),
    ]


def backdrop(dice: Dice, z: float, reach: float) -> list[Panel]:
    """Houses across the far end of the street."""
    panels, x = [], -reach
    while x < reach:
        width, height = dice.between(8.0, 22.0), dice.between(5.0, 24.0)
        paint, parts = facade(dice, height)
        far = z + dice.between(0.0, 30.0)
        panels.append(Panel(x, far, x + width, far, 0.0, height, paint, parts, dice.whole(190, 250), 40))
        x += width * dice.between(0.8, 1.3)
    return panels


def wall(dice: Dice, x0: float, z0: float, x1: float, z1: float, light: int) -> list[Panel]:
    """A free-standing wall of stone, brick or concrete."""
    height, course = dice.between(1.4, 3.2), dice.pick((0.2, 0.45, 1.0))
    colour = dice.near(dice.pick(WALLS), 16)
    joint = dice.between(0.4, 2.4)

    def paint(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        row = y / np.float32(course)
        j = np.floor(row)
        column = s / np.float32(joint) + j * np.float32(0.5)
        part = np.ones(s.shape, np.uint8)
        part[(row - j < 0.12) | (column - np.floor(column) < 0.05)] = 2
        part[y > height - 0.15] = 3
        return part

    dark = (colour[0] * 3 // 4, colour[1] * 3 // 4, colour[2] * 3 // 4)
    parts = ((Id.WALL, colour), (Id.WALL, dark), (Id.WALL, dice.near(colour, 20)))
    return [Panel(x0, z0, x1, z1, 0.0, height, paint, parts, light, 70)]


def fence(dice: Dice, x0: float, z0: float, x1: float, z1: float, light: int) -> list[Panel]:
    """Railings or boards; what shows between the bars is labelled fence, as in Cityscapes."""
    height, pitch = dice.between(0.9, 2.0), dice.between(0.12, 0.3)
    bar = dice.pick((0.25, 0.35, 0.85))
    metal = dice.near(dice.pick(((60, 64, 62), (118, 98, 74), (150, 150, 148), (204, 202, 196), (66, 82, 66))), 12)

    def paint(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        a = s / np.float32(pitch)
        part = np.full(s.shape, 2, np.uint8)
        part[a - np.floor(a) < bar] = 1
        part[(np.abs(y - np.float32(height - 0.12)) < 0.05) | (np.abs(y - np.float32(0.2)) < 0.05)] = 1
        post = s / np.float32(2.5)
        part[post - np.floor(post) < 0.05] = 1
        return part

    return [Panel(x0, z0, x1, z1, 0.0, height, paint, ((Id.FENCE, metal), (Id.FENCE, None)), light, 40)]


Solid = Callable[[np.ndarray, np.ndarray], np.ndarray]


def blobs(circles: list[tuple[float, float, float]]) -> Solid:
    """Depth inside the union of circles (s, y, radius): 1 at a centre, 0 on the edge, negative outside."""

    def solid(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        deepest = np.full(s.shape, -9.0, np.float32)
        for cs, cy, r in circles:
            a, b = (s - np.float32(cs)) / np.float32(r), (y - np.float32(cy)) / np.float32(r)
            deepest = np.maximum(deepest, 1 - a * a - b * b)
        return deepest

    return solid


def bushes(dice: Dice, height: float) -> Solid:
    """As `blobs`, for a row of round bushes of about the given height."""
    radii = dice.field(64)

    def solid(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        bush = s / np.float32(0.8 * height)
        i = np.floor(bush)
        a = (bush - i - np.float32(0.5)) * np.float32(0.8)
        r = np.float32(0.7) + radii[i.astype(np.int32) & 63].astype(np.float32) / 512
        b = y / (np.float32(height) * r)
        return 1 - a * a - b * b

    return solid


def leaves(dice: Dice, texture: Texture, solid: Solid, middle: float, size: float, ragged: float) -> Paint:
    """Foliage where `solid` is positive, with an irregular edge, gaps, and light and dark leaves."""
    offset_s, offset_y = dice.whole(0, 255), dice.whole(0, 255)

    def paint(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        inside = solid(s, y)
        fine = sample(texture.fine, s * np.float32(17) + offset_s, y * np.float32(17) + offset_y).astype(np.float32)
        broad = sample(texture.smooth, s * np.float32(23) + offset_s, y * np.float32(23) + offset_y).astype(np.float32)
        edge = inside + (fine + broad - 256) * np.float32(ragged / 128)
        tone = fine + broad + inside * np.float32(30) + (y - np.float32(middle)) * np.float32(50 / size)
        part = np.full(s.shape, 2, np.uint8)
        part[tone > 300] = 3
        part[tone < 236] = 1
        part[edge < 0.12] = 0
        return part

    return paint


def _greens(dice: Dice) -> tuple[tuple[int, RGB], ...]:
    mid = dice.near(dice.pick(LEAVES), 10)
    dark = (mid[0] // 2, mid[1] // 2, mid[2] // 2)
    bright = (min(255, mid[0] * 11 // 8), min(255, mid[1] * 11 // 8), min(255, mid[2] * 5 // 4))
    return tuple((Id.VEGETATION, colour) for colour in (dark, mid, bright))


def tree(dice: Dice, texture: Texture, x: float, z: float, scale: float = 1.0) -> list[Panel]:
    """A tree with a trunk; the whole of it is vegetation."""
    r = dice.between(1.2, 2.6) * scale
    trunk, c = dice.between(1.6, 2.8) * scale, 1.8 * r
    circles = [(c, trunk + r, r)]
    for _ in range(5):
        s, y = c + dice.between(-0.9, 0.9) * r, trunk + dice.between(0.6, 2.1) * r
        circles.append((s, y, dice.between(0.45, 0.8) * r))
    foliage = leaves(dice, texture, blobs(circles), trunk + r, r, 0.55)
    light = dice.whole(190, 280)
    crown = Panel(x - c, z, x + c, z, 0.5 * trunk, trunk + 3.2 * r, foliage, _greens(dice), light, 40)
    bark = dice.near((84, 70, 58), 12)
    lean = dice.between(-0.2, 0.2)
    stem = figure((1, limb((0.5, 0.0), (0.5 + lean, trunk + 0.5 * r), 0.13 * scale)))
    return [
        Panel(
            x - 0.5,
            z + 0.05,
            x + 0.5,
            z + 0.05,
            0.0,
            trunk + 0.6 * r,
            stem,
            ((Id.VEGETATION, bark),),
            220,
            50,
        ),
        crown,
    ]


def hedge(dice: Dice, texture: Texture, x0: float, z0: float, x1: float, z1: float, height: float) -> list[Panel]:
    """Bushes along a line."""
    paint = leaves(dice, texture, bushes(dice, height), 0.6 * height, height, 0.3)
    return [Panel(x0, z0, x1, z1, 0.0, 1.4 * height, paint, _greens(dice), dice.whole(190, 270), 40)]
