"""Exact motion: displacements worked out by hand, and frames that are drawn for themselves, warped onto each other."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

import streets
from streets.canvas import GROUND, STILL, Camera, Canvas, Panel
from streets.dice import Dice
from streets.ground import Ground
from streets.ids import Id
from streets.motion import displacement
from streets.scene import shot
from streets.shapes import box, figure
from streets.texture import Texture

SIZE = (64, 128)


def camera(x: float = 0.0, z: float = 0.0) -> Camera:
    """100 x 200 output pixels, each of 3 x 3 drawn ones; focal length 300 drawn pixels; the axis is at the middle."""
    return Camera(rows=300, columns=600, focal=300.0, centre=300.0, horizon=150.0, x=x, y=1.425, z=z, bend=0.0)


def board(x: float, z: float) -> Panel:
    """A board across the way, 2 m wide and high, its middle at x."""
    return Panel(x - 1, z, x + 1, z, 0.0, 2.0, figure((1, box(0, 0, 2, 2))), ((Id.CAR, (9, 9, 9)),))


@pytest.fixture
def drawn() -> Canvas:
    """The board 10 m before the camera, on a plain ground."""
    canvas = Canvas(camera(), Texture(Dice(0)), (200, 200, 200), 500.0)
    road = Ground(5.0, (0.0, 0.0), 8.0, lane=3.0, lanes=1, parking=0.0, junctions=[], tracks=())
    road.paint(canvas, Dice(1))
    canvas.draw_all([board(0.0, 10.0)])
    return canvas


def test_each_pixel_knows_its_surface(drawn):
    surface = drawn.surface[1::3, 1::3]
    assert (surface[:50] == STILL)[:, :80].all()  # above the horizon, beside the board
    assert surface[55, 100] == 0 and surface[55, 112] == GROUND and surface[90, 100] == GROUND


def test_displacements_are_those_worked_out_by_hand(drawn):
    still = displacement(drawn, [board(0.0, 10.0)], camera(), [board(0.0, 10.0)])
    assert np.abs(still).max() < 1e-4
    # 0.5 m to the right at 10 m: 0.5 * 300 / 10 = 15 drawn pixels, so 5.
    moved = displacement(drawn, [board(0.0, 10.0)], camera(), [board(0.5, 10.0)])
    on_board = drawn.surface[1::3, 1::3] == 0
    assert np.allclose(moved[on_board], (0, 5), atol=1e-4) and np.abs(moved[~on_board]).max() < 1e-4
    # 5 m forward: the board is twice as near. Pixel (55, 105) lies 16.5 drawn pixels from the axis, and then 33.
    nearer = displacement(drawn, [board(0.0, 10.0)], camera(z=5.0), [board(0.0, 10.0)])
    assert np.allclose(nearer[55, 105], (5.5, 5.5), atol=1e-4)
    # Ground 28.5 drawn rows below the horizon: 300 * 1.425 / 28.5 = 15 m, then 10 m at 42.75 rows. Its 37.5
    # columns beside the axis become 56.25.
    assert np.allclose(nearer[59, 112], (4.75, 6.25), atol=1e-4)
    # The camera 1 m to the right: ground at 15 m moves 20 drawn pixels to the left.
    aside = displacement(drawn, [board(0.0, 10.0)], camera(x=1.0), [board(0.0, 10.0)])
    assert np.allclose(aside[59, 112], (0, -20 / 3), atol=1e-4)
    assert (nearer[:50, :80] == 0).all()  # the sky
    gone = np.mgrid[:100, :200].transpose(1, 2, 0) + nearer  # ground 2.9 m ahead is then behind the camera
    assert (gone[99, 0] > (99, 199)).all()


def clean(index: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """What the lens sees, without blur and noise, float (H, W, 3), and the surface of each pixel (H, W)."""
    canvas = shot(0, "train", index, frame, *SIZE).draw()
    return canvas.rgb.reshape(SIZE[0], 3, SIZE[1], 3, 3).mean((1, 3)), canvas.surface[1::3, 1::3]


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(("frame", "source"), [(3, 2), (1, 2), (4, 2)])
def test_a_frame_is_the_other_one_warped_wherever_its_surface_is_seen_there(index, frame, source):
    (before, there), (after, here) = clean(index, source), clean(index, frame)
    flow = streets.flow(frame, source, index=index, height=SIZE[0], width=SIZE[1])
    assert flow.dtype == np.float32 and flow.shape == (*SIZE, 2)

    def error(flow: np.ndarray, where: np.ndarray) -> float:
        at = np.moveaxis(np.stack(np.mgrid[: SIZE[0], : SIZE[1]], -1) + flow, -1, 0)
        warped = np.stack([map_coordinates(before[..., c], at, order=1, mode="nearest") for c in range(3)], -1)
        return float(np.abs(warped - after)[where].mean())

    place = np.mgrid[: SIZE[0], : SIZE[1]] + np.moveaxis(flow, -1, 0)
    inside = (place[0] >= 0) & (place[0] <= SIZE[0] - 1) & (place[1] >= 0) & (place[1] <= SIZE[1] - 1)
    row, column = (np.rint(place[i]).astype(int).clip(0, SIZE[i] - 1) for i in (0, 1))
    alone = maximum_filter(here, 3) == minimum_filter(here, 3)  # away from the edges of what it shows
    alone_there = (maximum_filter(there, 3) == minimum_filter(there, 3))[row, column]
    seen = inside & alone & alone_there & (there[row, column] == here)
    assert seen.mean() > 0.5 and (seen[here == GROUND]).mean() > 0.5
    hidden = inside & alone & (there[row, column] != here)
    assert hidden.mean() < 0.12  # behind something, or a sliver at its edge
    moving = seen & (np.linalg.norm(flow, axis=-1) > 0.5)
    exact = error(flow, moving)
    assert exact < 0.65 * error(np.zeros_like(flow), moving)
    assert all(exact < error(flow + np.float32(step), moving) for step in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)))


def test_there_and_back_is_where_it_began():
    size = {"height": SIZE[0], "width": SIZE[1]}
    there, back = streets.flow(3, 2, **size), streets.flow(2, 3, **size)
    at = np.moveaxis(np.stack(np.mgrid[: SIZE[0], : SIZE[1]], -1) + there, -1, 0)
    returned = np.stack([map_coordinates(back[..., c], at, order=1, mode="nearest") for c in (0, 1)], -1)
    assert np.quantile(np.linalg.norm(there + returned, axis=-1), 0.9) < 0.1
    assert np.abs(streets.flow(2, 2, **size)).max() < 1e-3


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split 'trian' is not one of train, val, test"):
        streets.flow(1, 0, split="trian")
