"""Cars, vans, trucks, buses and trams: boxes of which the end and one side are seen."""

from collections.abc import Sequence

from .canvas import Paint, Panel
from .dice import RGB, Dice
from .ids import Id
from .shapes import Shape, box, disc, figure, trapezium

PAINTS: tuple[RGB, ...] = (
    (32, 33, 36), (58, 60, 64), (96, 99, 104), (142, 146, 150), (196, 198, 200), (228, 228, 226),
    (120, 34, 32), (38, 56, 96), (60, 92, 124), (70, 84, 66), (150, 132, 104), (176, 120, 40),
)  # fmt: skip
GLASS: RGB = (52, 62, 72)
TYRE: RGB = (24, 24, 26)
HUB: RGB = (118, 120, 124)
RED: RGB = (168, 32, 30)
LAMP: RGB = (236, 232, 214)
BODY, SHADE, WINDOW, WHEEL, METAL, TAIL, HEAD, STRIPE = range(1, 9)
Layers = list[tuple[int, Shape]]


def _parts(dice: Dice, label: Id, body: RGB, stripe: RGB) -> tuple[tuple[int, RGB], ...]:
    shade = (body[0] * 5 // 8, body[1] * 5 // 8, body[2] * 5 // 8)
    glass = dice.near(GLASS, 14)
    return tuple((label, colour) for colour in (body, shade, glass, TYRE, HUB, RED, LAMP, stripe))


def _wheels(layers: Layers, radius: float, places: Sequence[float]) -> None:
    for s in places:
        layers += [(WHEEL, disc(s, radius, radius)), (METAL, disc(s, radius, 0.55 * radius))]


def _car_side(length: float, height: float, van: bool) -> Paint:
    roof = (0.02, 0.8) if van else (0.14, 0.66)
    sill = (0.0, 0.9) if van else (0.1, 0.76)
    waist = 0.62 * height
    low, high = (sill[0] * length, sill[1] * length), (roof[0] * length, roof[1] * length)
    middle = (roof[0] + roof[1]) / 2 * length
    layers: Layers = [
        (SHADE, box(0.1, 0.14, length - 0.1, 0.4)),
        (BODY, trapezium(0.28, waist, (0.0, length), (0.04, length - 0.12))),
        (BODY, trapezium(waist, height, low, high)),
        (
            WINDOW,
            trapezium(waist, height - 0.1, (low[0] + 0.25, low[1] - 0.2), (high[0] + 0.14, high[1] - 0.08)),
        ),
        (BODY, box(middle - 0.05, waist, middle + 0.05, height)),
        (SHADE, box(middle - 0.02, 0.35, middle + 0.02, waist)),
        (SHADE, box(0.15, waist - 0.06, length - 0.2, waist - 0.02)),
        (TAIL, box(0.0, waist - 0.22, 0.16, waist - 0.04)),
        (HEAD, box(length - 0.3, waist - 0.25, length - 0.05, waist - 0.1)),
    ]
    _wheels(layers, 0.33, (0.2 * length, 0.81 * length))
    return figure(*layers)


def _car_end(width: float, height: float, front: bool) -> Paint:
    waist, lamp = 0.62 * height, HEAD if front else TAIL
    layers: Layers = [
        (WHEEL, box(0.05, 0.0, 0.3, 0.4)),
        (WHEEL, box(width - 0.3, 0.0, width - 0.05, 0.4)),
        (BODY, trapezium(0.2, waist, (0.0, width), (0.02, width - 0.02))),
        (SHADE, box(0.05, 0.2, width - 0.05, 0.34)),
        (STRIPE, box(width / 2 - 0.25, 0.4, width / 2 + 0.25, 0.52)),
        (lamp, box(0.08, waist - 0.24, 0.36, waist - 0.08)),
        (lamp, box(width - 0.36, waist - 0.24, width - 0.08, waist - 0.08)),
    ]
    if front:
        layers.append((SHADE, box(0.45, waist - 0.24, width - 0.45, waist - 0.1)))
    return figure(*layers)


def _car_cabin(width: float, height: float) -> Paint:
    waist = 0.62 * height
    return figure(
        (BODY, box(0.0, 0.3, width, waist)),
        (BODY, trapezium(waist, height, (0.0, width), (0.03, width - 0.03))),
        (WINDOW, trapezium(waist + 0.04, height - 0.1, (0.12, width - 0.12), (0.2, width - 0.2))),
    )


def _box_side(length: float, height: float, kind: Id) -> Paint:
    layers: Layers = [(SHADE, box(0.1, 0.3, length - 0.1, 0.7))]
    if kind is Id.TRUCK:
        cab = length - 2.0
        layers += [
            (STRIPE, box(0.0, 0.95, cab - 0.3, height)),
            (BODY, trapezium(0.45, height - 0.5, (cab, length), (cab, length - 0.3))),
            (WINDOW, trapezium(1.5, height - 0.75, (cab + 0.5, length - 0.1), (cab + 0.5, length - 0.3))),
        ]
        layers += [(SHADE, box(s, 0.95, s + 0.06, height)) for s in (0.25 * cab, 0.5 * cab, 0.75 * cab)]
        _wheels(layers, 0.46, (0.9, 2.0, length - 1.1))
        return figure(*layers)
    layers += [
        (BODY, box(0.0, 0.35, length, height)),
        (STRIPE, box(0.0, 0.75, length, 1.15)),
        (WINDOW, box(0.3, 1.3, length - 0.2, height - 0.6)),
        (SHADE, box(0.0, height - 0.15, length, height)),
    ]
    doors = [0.12 * length, 0.45 * length, 0.86 * length]
    layers += [(WINDOW, box(s, 0.45, s + 1.1, height - 0.5)) for s in doors]
    layers += [(BODY, box(s, 0.4, s + 0.1, height - 0.3)) for s in range(1, int(length), 2)]
    if kind is Id.BUS:
        _wheels(layers, 0.48, (0.24 * length, 0.74 * length))
    return figure(*layers)


def _box_end(width: float, height: float, kind: Id, front: bool) -> Paint:
    lamp, main = HEAD if front else TAIL, STRIPE if kind is Id.TRUCK and not front else BODY
    top = height - 0.5 if kind is Id.TRUCK and front else height
    layers: Layers = [
        (WHEEL, box(0.1, 0.0, 0.4, 0.5)),
        (WHEEL, box(width - 0.4, 0.0, width - 0.1, 0.5)),
        (main, box(0.0, 0.45, width, top)),
        (SHADE, box(0.0, 0.4, width, 0.6)),
        (lamp, box(0.1, 0.62, 0.4, 0.85)),
        (lamp, box(width - 0.4, 0.62, width - 0.1, 0.85)),
    ]
    if main == STRIPE:
        layers += [
            (SHADE, box(width / 2 - 0.03, 0.6, width / 2 + 0.03, height)),
            (SHADE, box(0.0, height - 0.1, width, height)),
        ]
    else:
        layers += [
            (WINDOW, box(0.15, 1.35, width - 0.15, top - 0.5)),
            (SHADE, box(0.3, top - 0.4, width - 0.3, top - 0.15)),
        ]
    return figure(*layers)


SIZES = {  # label: ranges of length, width and height in metres
    Id.CAR: ((3.7, 4.8), (1.68, 1.9), (1.38, 1.6)),
    Id.TRUCK: ((6.5, 11.0), (2.3, 2.55), (2.9, 3.8)),
    Id.BUS: ((9.0, 13.0), (2.45, 2.55), (2.9, 3.3)),
    Id.TRAIN: ((22.0, 32.0), (2.3, 2.6), (3.2, 3.6)),
}


def vehicle(dice: Dice, label: Id, x: float, z: float, eye: float, *, oncoming: bool) -> list[Panel]:
    """A vehicle along the street with its near end at z and its middle at x; `eye` is the camera's x."""
    length, width, height = (dice.between(*span) for span in SIZES[label])
    van = label is Id.CAR and dice.chance(0.15)
    if van:
        length, height = length + 0.6, 2.0
    stripe = dice.near(dice.pick(PAINTS), 16) if label is not Id.CAR else (206, 204, 196)
    parts = _parts(dice, label, dice.near(dice.pick(PAINTS), 14), stripe)
    left, right, far = x - width / 2, x + width / 2, z + length
    side_x = right if right < eye else left
    end_light, side_light = dice.whole(205, 250), dice.whole(180, 270)
    s_from, s_to = (far, z) if oncoming else (z, far)
    panels: list[Panel] = []
    if label is Id.CAR:
        side = _car_side(length, height, van)
        inset = 0.25 * length if oncoming else 0.1 * length
        end = Panel(left, z, right, z, 0.0, height, _car_end(width, height, oncoming), parts, end_light, 24)
        cabin_z = z + (0.02 * length if van and not oncoming else inset)
        cabin = _car_cabin(width, height)
        panels = [end, Panel(left, cabin_z, right, cabin_z, 0.0, height, cabin, parts, end_light + 10, 24)]
    else:
        side = _box_side(length, height, label)
        paint = _box_end(width, height, label, oncoming)
        panels = [Panel(left, z, right, z, 0.0, height, paint, parts, end_light, 30)]
        if label is Id.TRUCK and oncoming:  # the load stands higher than the cab
            load = _box_end(width, height, label, False)
            panels.append(Panel(left, z + 2.3, right, z + 2.3, 0.9, height, load, parts, end_light, 30))
    if not left < eye < right:
        panels.append(Panel(side_x, s_from, side_x, s_to, 0.0, height, side, parts, side_light, 30))
    return panels


def crossing(dice: Dice, label: Id, x: float, z: float) -> list[Panel]:
    """A vehicle that crosses the street at z, seen from its side, with one end at x."""
    length, _, height = (dice.between(*span) for span in SIZES[label])
    stripe = dice.near(dice.pick(PAINTS), 16)
    parts = _parts(dice, label, dice.near(dice.pick(PAINTS), 14), stripe)
    side = _car_side(length, height, False) if label is Id.CAR else _box_side(length, height, label)
    ends = (x, x + length) if dice.chance(0.5) else (x + length, x)
    return [Panel(ends[0], z, ends[1], z, 0.0, height, side, parts, dice.whole(200, 260), 30)]
