"""Regions of COCO against drawings by hand and against a library's test of single points."""

import numpy as np
import pytest
from matplotlib.path import Path

from dsrl_lib.data.readers.polygons import polygon_mask, run_length_mask


def drawn(mask: np.ndarray) -> list[str]:
    return ["".join(".#"[inside] for inside in row) for row in mask.astype(int)]


def test_polygons_by_hand() -> None:
    assert drawn(polygon_mask([1, 1, 4, 1, 4, 3, 1, 3], 4, 6)) == ["......", ".###..", ".###..", "......"]
    # A corner just short of a pixel centre leaves that pixel out.
    assert drawn(polygon_mask([0.6, 0, 2.6, 0, 2.6, 1, 0.6, 1], 1, 4)) == [".##."]
    assert drawn(polygon_mask([0.4, 0, 2.4, 0, 2.4, 1, 0.4, 1], 1, 4)) == ["##.."]
    # A triangle below the diagonal: its edge passes through the centres of the diagonal.
    assert drawn(polygon_mask([0, 0.1, 4, 4.1, 0, 4.1], 4, 4)) == ["....", "#...", "##..", "###."]
    # Even-odd: where a polygon covers itself there is a hole.
    assert drawn(polygon_mask([0, 0, 3, 0, 3, 1, 1, 1, 1, 0, 2, 0, 2, 1, 0, 1], 1, 4)) == ["#.#."]


def test_polygons_end_at_the_borders_of_the_image() -> None:
    assert polygon_mask([-5, -5, 50, -5, 50, 50, -5, 50], 3, 4).all()
    assert drawn(polygon_mask([-5, 1, 2, 1, 2, 9, -5, 9], 3, 4)) == ["....", "##..", "##.."]
    assert not polygon_mask([5, 0, 9, 0, 9, 3, 5, 3], 3, 4).any()


@pytest.mark.parametrize("seed", range(8))
def test_polygons_agree_with_a_test_of_every_pixel_centre(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radius = rng.uniform(3, 14, 9)
    corners = np.stack([16 + radius * np.cos(angle), 12 + radius * np.sin(angle)], 1)  # (9, 2): star-shaped
    centres = np.stack(np.meshgrid(np.arange(32) + 0.5, np.arange(24) + 0.5), -1).reshape(-1, 2)
    expected = Path(corners).contains_points(centres).reshape(24, 32)
    found = polygon_mask(corners.ravel().tolist(), 24, 32)
    assert expected.any() and (found == expected).all()


def test_run_lengths_by_hand() -> None:
    # Down the first column, then down the next: two outside, three inside, one outside.
    assert drawn(run_length_mask([2, 3, 1], 2, 3)) == [".##", ".#."]
    assert drawn(run_length_mask([0, 6], 2, 3)) == ["###", "###"]
    with pytest.raises(ValueError, match="add up to 5, not to 2 x 3"):
        run_length_mask([2, 3], 2, 3)
