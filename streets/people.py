"""Pedestrians, riders, bicycles and motorcycles: figures of a few limbs."""

from .canvas import Panel
from .dice import RGB, Dice
from .ids import Id
from .shapes import Shape, box, disc, figure, limb, path

SKINS: tuple[RGB, ...] = ((224, 182, 152), (198, 150, 116), (150, 105, 78), (96, 66, 50))
CLOTHES: tuple[RGB, ...] = (
    (38, 40, 48),
    (60, 62, 70),
    (92, 92, 96),
    (140, 138, 134),
    (200, 198, 192),
    (44, 58, 92),
    (120, 46, 44),
    (66, 84, 58),
    (110, 88, 66),
    (168, 140, 98),
    (76, 120, 150),
    (190, 150, 50),
)
DARK: RGB = (34, 33, 35)


def _dress(dice: Dice, label: Id) -> tuple[tuple[int, RGB], ...]:
    """Parts 1 to 5: trousers, top, skin, hair or helmet, bag."""
    helmet = dice.pick(CLOTHES) if label is Id.RIDER else dice.pick(((40, 32, 28), (84, 62, 44), (150, 130, 100)))
    colours = (dice.pick(CLOTHES[:8]), dice.pick(CLOTHES), dice.pick(SKINS), helmet, dice.pick(CLOTHES))
    return tuple((label, dice.near(colour, 8)) for colour in colours)


def person(dice: Dice, x: float, z: float) -> list[Panel]:
    """A standing or walking pedestrian, 1.1 to 1.95 m tall."""
    h = dice.between(1.55, 1.95) if dice.chance(0.85) else dice.between(1.1, 1.4)
    stride, swing, girth = dice.between(0.01, 0.13), dice.between(0.0, 0.12), dice.between(0.9, 1.25)
    c, hip, shoulder = 0.24 * h, 0.5 * h, 0.8 * h
    layers = [
        (1, limb((c, hip), (c - stride * h, 0.03 * h), 0.05 * h * girth)),
        (1, limb((c, hip), (c + stride * h, 0.03 * h), 0.05 * h * girth)),
        (2, limb((c, hip), (c, shoulder - 0.05 * h), 0.095 * h * girth)),
        (2, limb((c - 0.1 * h, shoulder - 0.02 * h), (c - (0.1 + swing) * h, 0.48 * h), 0.03 * h)),
        (2, limb((c + 0.1 * h, shoulder - 0.02 * h), (c + (0.1 + swing) * h, 0.48 * h), 0.03 * h)),
        (3, disc(c, 0.925 * h, 0.07 * h)),
        (4, limb((c - 0.03 * h, 0.96 * h), (c + 0.03 * h, 0.96 * h), 0.045 * h)),
    ]
    if dice.chance(0.3):  # a long coat or skirt
        layers.insert(3, (2, limb((c, 0.3 * h), (c, hip), 0.1 * h)))
    if dice.chance(0.3):
        side = dice.pick((-1, 1))
        layers.append((5, box(c + side * 0.15 * h - 0.07 * h, 0.36 * h, c + side * 0.15 * h + 0.07 * h, 0.52 * h)))
    parts = _dress(dice, Id.PERSON)
    return [Panel(x - c, z, x + c, z, 0.0, 1.02 * h, figure(*layers), parts, dice.whole(200, 265), 30)]


def _frame(dice: Dice, thickness: float) -> list[tuple[int, Shape]]:
    """A bicycle from the side, 1.75 m long, parts 6 (tyres), 7 (frame) and 8 (see-through wheels)."""
    r = 0.33
    rear, front, seat, head, crank = (0.35, r), (1.4, r), (0.62, 0.86), (1.22, 0.86), (0.8, 0.32)
    wheels = [
        (6, disc(*rear, r)),
        (8, disc(*rear, r - 0.06)),
        (6, disc(*front, r)),
        (8, disc(*front, r - 0.06)),
    ]
    return [
        *wheels,
        (7, path((rear, crank, head, seat, rear), thickness)),
        (7, path((seat, crank), thickness)),
        (7, path((front, head, (1.25, 1.02), (1.12, 1.05)), thickness)),
        (6, limb((0.52, 0.93), (0.74, 0.93), 0.04)),
    ]


def bicycle(dice: Dice, x: float, z: float, *, rider: bool, across: bool) -> list[Panel]:
    """A bicycle, with or without its rider, seen from the side or (with a rider) from behind."""
    frame = dice.near(dice.pick(CLOTHES), 20)
    parts = (*_dress(dice, Id.RIDER), (Id.BICYCLE, DARK), (Id.BICYCLE, frame), (Id.BICYCLE, None))
    light = dice.whole(200, 260)
    if across or not rider:
        layers = _frame(dice, 0.035)
        if rider:
            knee = (dice.between(0.92, 1.08), dice.between(0.62, 0.78))
            layers += [
                (1, path(((0.66, 0.96), knee, (0.84, 0.3)), 0.085)),
                (2, limb((0.68, 1.02), (0.98, 1.42), 0.15)),
                (2, path(((1.0, 1.42), (1.1, 1.15), (1.22, 1.05)), 0.055)),
                (3, disc(1.08, 1.64, 0.11)),
                (4, limb((1.04, 1.71), (1.12, 1.71), 0.075)),
            ]
        paint = figure(*layers, mirror=1.75 if dice.chance(0.5) else None)
        if across:
            return [Panel(x, z, x + 1.75, z, 0.0, 1.85, paint, parts, light, 30)]
        return [Panel(x, z, x + dice.between(0.2, 0.9), z + 1.75, 0.0, 1.85, paint, parts, light, 30)]
    layers = [
        (6, limb((0.35, 0.03), (0.35, 0.85), 0.035)),
        (7, limb((0.1, 1.05), (0.6, 1.05), 0.03)),
        (1, limb((0.28, 0.9), (0.25, dice.between(0.25, 0.5)), 0.075)),
        (1, limb((0.42, 0.9), (0.45, dice.between(0.25, 0.5)), 0.075)),
        (2, limb((0.35, 0.98), (0.35, 1.42), 0.19)),
        (2, path(((0.18, 1.42), (0.1, 1.08)), 0.055)),
        (2, path(((0.52, 1.42), (0.6, 1.08)), 0.055)),
        (3, disc(0.35, 1.66, 0.11)),
        (4, disc(0.35, 1.71, 0.1)),
    ]
    return [Panel(x - 0.35, z, x + 0.35, z, 0.0, 1.85, figure(*layers), parts, light, 30)]


def motorcycle(dice: Dice, x: float, z: float, *, rider: bool, across: bool) -> list[Panel]:
    """A motorcycle, 2.1 m long, from the side or from behind."""
    paintwork = dice.near(dice.pick(CLOTHES), 25)
    light = dice.whole(200, 260)
    moto = Id.MOTORCYCLE
    parts = (
        *_dress(dice, Id.RIDER),
        (moto, DARK),
        (moto, paintwork),
        (moto, (170, 172, 176)),
        (moto, (190, 40, 34)),
    )
    if across:
        layers = [
            (6, disc(0.36, 0.33, 0.33)),
            (8, disc(0.36, 0.33, 0.17)),
            (6, disc(1.74, 0.33, 0.33)),
            (8, disc(1.74, 0.33, 0.17)),
            (6, box(0.6, 0.25, 1.3, 0.6)),
            (8, limb((0.3, 0.3), (0.9, 0.36), 0.06)),
            (7, limb((0.45, 0.72), (1.3, 0.78), 0.13)),
            (6, limb((0.3, 0.82), (0.95, 0.84), 0.07)),
            (7, limb((1.35, 0.95), (1.72, 0.4), 0.07)),
            (6, limb((1.2, 1.12), (1.4, 1.02), 0.05)),
        ]
        if rider:
            layers += [
                (1, path(((0.75, 0.95), (1.15, 0.75), (0.95, 0.32)), 0.1)),
                (2, limb((0.76, 1.0), (0.98, 1.42), 0.18)),
                (2, path(((1.0, 1.42), (1.12, 1.2), (1.3, 1.12)), 0.065)),
                (4, disc(1.06, 1.68, 0.15)),
            ]
        paint = figure(*layers, mirror=2.1 if dice.chance(0.5) else None)
        return [Panel(x, z, x + 2.1, z, 0.0, 1.9, paint, parts, light, 30)]
    layers = [
        (6, limb((0.4, 0.1), (0.4, 0.6), 0.09)),
        (7, limb((0.4, 0.62), (0.4, 0.85), 0.17)),
        (9, box(0.33, 0.72, 0.47, 0.8)),
        (6, limb((0.08, 1.05), (0.72, 1.05), 0.04)),
        (8, disc(0.6, 0.35, 0.07)),
        (8, disc(0.06, 1.18, 0.06)),
        (8, disc(0.74, 1.18, 0.06)),
    ]
    if rider:
        layers[:0] = [(1, limb((0.2, 0.9), (0.18, 0.35), 0.09)), (1, limb((0.6, 0.9), (0.62, 0.35), 0.09))]
        layers += [
            (2, limb((0.4, 1.0), (0.4, 1.42), 0.21)),
            (2, path(((0.2, 1.42), (0.1, 1.1)), 0.065)),
            (2, path(((0.6, 1.42), (0.7, 1.1)), 0.065)),
            (4, disc(0.4, 1.7, 0.15)),
        ]
    return [Panel(x - 0.4, z, x + 0.4, z, 0.0, 1.9, figure(*layers), parts, light, 30)]
