"""Street furniture: lamp posts, signs, traffic lights and bins."""

from .canvas import Panel
from .dice import RGB, Dice
from .ids import Id
from .shapes import box, disc, figure, limb, path, trapezium

METALS: tuple[RGB, ...] = ((70, 72, 74), (112, 114, 116), (146, 148, 148), (58, 66, 60), (96, 84, 74))
FACES: tuple[tuple[RGB, RGB], ...] = (  # border and middle of a sign
    ((184, 36, 34), (226, 224, 218)), ((30, 76, 150), (34, 84, 160)), ((190, 160, 40), (206, 176, 52)),
    ((200, 200, 196), (40, 92, 60)), ((150, 148, 144), (188, 186, 180)),
)  # fmt: skip


def _post(dice: Dice, x: float, z: float, height: float, width: float, metal: RGB) -> Panel:
    everywhere = figure((1, box(-1.0, 0.0, 9.0, height)))
    parts = ((Id.POLE, metal),)
    return Panel(x - width / 2, z, x + width / 2, z, 0.0, height, everywhere, parts, dice.whole(190, 270), 20, True)


def lamp(dice: Dice, x: float, z: float) -> list[Panel]:
    """A lamp post, 5 to 9 m, with its arm over the road."""
    metal, height, reach = dice.near(dice.pick(METALS), 8), dice.between(5.0, 9.0), dice.between(0.8, 2.0)
    posts = [_post(dice, x, z, height, dice.between(0.1, 0.2), metal)]
    start, toward = (0.0, 1) if x < 0 else (reach, -1)
    head = (start + toward * (reach - 0.35), height - 0.12)
    arm = figure(
        (1, limb((start, height - 0.5), (start + toward * reach * 0.6, height - 0.08), 0.06)),
        (1, limb((start + toward * reach * 0.5, height - 0.1), head, 0.1)),
    )
    left = x if x < 0 else x - reach
    posts.append(Panel(left, z, left + reach, z, height - 0.8, height + 0.2, arm, ((Id.POLE, metal),), 230, 20))
    return posts


def sign(dice: Dice, x: float, z: float) -> list[Panel]:
    """One or two traffic signs on a post."""
    metal, height = dice.near(dice.pick(METALS[1:3]), 8), dice.between(2.4, 3.3)
    panels = [_post(dice, x, z, height, 0.08, metal)]
    y = height
    for _ in range(dice.whole(1, 2)):
        size = dice.between(0.5, 0.8)
        border, middle = dice.pick(FACES)
        kind, c = dice.whole(0, 3), size / 2
        narrow = (c - 0.02, c + 0.02)
        inner = (y - 0.9 * size, y - 0.1 * size)
        shapes = [
            (disc(c, y - c, c), disc(c, y - c, 0.7 * c)),
            (
                trapezium(y - size, y, (0.0, size), narrow),
                trapezium(inner[0], y - 0.3 * size, (0.2 * size, 0.8 * size), narrow),
            ),
            (box(0.0, y - size, size, y), box(0.1 * size, inner[0], 0.9 * size, inner[1])),
            (path(((c, y - 0.6 * c), (c, y - 1.4 * c)), 0.6 * c), disc(c, y - c, 0.5 * c)),
        ]
        face = figure(*enumerate(shapes[kind], start=1))
        parts = ((Id.TRAFFIC_SIGN, dice.near(border, 12)), (Id.TRAFFIC_SIGN, dice.near(middle, 12)))
        panels.append(Panel(x - c, z - 0.1, x + c, z - 0.1, y - size, y, face, parts, dice.whole(170, 270), 24))
        y -= size + 0.05
    return panels


def traffic_light(dice: Dice, x: float, z: float, *, arm: float = 0.0) -> list[Panel]:
    """Signal heads on a post and, with `arm` metres, another over the road (towards x = 0)."""
    metal = dice.near(dice.pick(METALS), 8)
    case = dice.near(dice.pick(((30, 32, 32), (50, 56, 48), (62, 60, 52))), 8)
    lit, height = dice.whole(0, 2), dice.between(3.0, 3.4)
    glow: list[RGB] = [(60, 26, 24), (62, 52, 24), (24, 56, 34)]
    glow[lit] = ((250, 60, 40), (250, 190, 60), (70, 240, 160))[lit]
    parts = tuple((Id.TRAFFIC_LIGHT, colour) for colour in (case, *glow))

    def head(centre: float, y: float) -> Panel:
        lamps = [(2 + i, disc(0.18, y + 0.82 - 0.3 * i, 0.11)) for i in range(3)]
        paint = figure((1, box(0.0, y, 0.36, y + 1.0)), *lamps)
        return Panel(centre - 0.18, z - 0.2, centre + 0.18, z - 0.2, y, y + 1.0, paint, parts, 240, 16)

    panels = [_post(dice, x, z, height + (2.6 if arm else 0.4), 0.14, metal), head(x, height - 0.7)]
    if arm:
        toward = 1 if x < 0 else -1
        left = min(x, x + toward * arm)
        top = height + 2.5
        beam = figure((1, path(((0.0, top), (arm, top)), 0.06)))
        panels.append(Panel(left, z, left + arm, z, top - 0.1, top + 0.1, beam, ((Id.POLE, metal),), 230, 20))
        panels.append(head(x + toward * arm, top - 0.9))
    return panels


def bin_(dice: Dice, x: float, z: float) -> list[Panel]:
    """A bin or a cabinet: `static`, which is void in the train ids."""
    colour = dice.near(dice.pick(((70, 84, 70), (86, 86, 88), (130, 122, 96), (60, 60, 64))), 14)
    w, h = dice.between(0.5, 1.1), dice.between(0.8, 1.4)
    paint = figure((1, box(0.0, 0.0, w, h)), (2, box(0.0, h - 0.2, w, h - 0.12)))
    parts = ((Id.STATIC, colour), (Id.STATIC, (40, 40, 40)))
    return [Panel(x, z, x + w, z, 0.0, h, paint, parts, dice.whole(180, 260), 40)]
