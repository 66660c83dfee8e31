"""Class-uniform sampling: points of the classes, composition of epochs, places of crops, and the cache."""

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dsrl_lib.config import Config
from dsrl_lib.data import sampling
from dsrl_lib.data.sampling import ClassUniform, Draw, around, class_points, points_of, start_containing
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import crop_label, draw_geometry
from dsrl_lib.paths import root

GOLDEN = root() / "tests" / "golden" / "comparators"


def golden(name):
    with np.load(GOLDEN / f"class_uniform_{name}.npz", allow_pickle=False) as file:
        return dict(file)


def split_of(labels, digest="a" * 64):
    names = [f"{i:03d}" for i in range(len(labels))]
    return Split(names, names, np.zeros((*labels.shape, 3), np.uint8), labels, digest, None)


def toy(frames=12, classes=4, seed=0):
    return np.random.default_rng(seed).integers(0, classes, (frames, 8, 10)).astype(np.uint8)


def table(labels, tile=4):
    rows = [(i, *point) for i, label in enumerate(labels) for point in points_of(label, tile)]
    return np.array(rows, np.int32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["toy", "part_tiles"])
def test_classes_of_whole_tiles_are_those_of_the_original(name):
    g = golden(name)
    tile, (height, width) = int(g["tile"]), g["labels"].shape[1:]
    theirs = {(image, c, y // tile, x // tile) for image, c, x, y in g["centroids"].tolist()}
    ours = {(image, c, y // tile, x // tile) for image, c, y, x in table(g["labels"], tile).tolist()}
    whole = {p for p in ours if (p[2] + 1) * tile <= height and (p[3] + 1) * tile <= width}
    assert whole == theirs
    assert len(ours) > len(theirs) if name == "part_tiles" else ours == theirs


@pytest.mark.parametrize("name", ["toy", "part_tiles"])
def test_composition_is_that_of_the_original_but_for_absent_classes(name):
    g = golden(name)
    frames, classes, share = len(g["labels"]), int(g["classes"]), float(g["pct"])
    points = table(g["labels"], int(g["tile"]))
    absent = set(range(classes)) - set(points[:, 1].tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the absent class
        sampler = ClassUniform(points, frames, classes, share)
    each = int(frames * share) // (classes - len(absent))
    for seed, original in enumerate(g["epoch_composition"]):
        count = Counter(draw.label for draw in sampler.compose(seed, 0))
        assert sum(count.values()) == frames
        assert all(count[c] == (0 if c in absent else each) for c in range(classes))
        if not absent:
            assert [count[None], *(count[c] for c in range(classes))] == original.tolist()


def test_points_lie_on_their_class_nearest_its_centre_of_mass():
    ring = np.full((7, 9), 1, np.uint8)
    ring[1:6, 1:6] = 0
    ring[2:5, 2:5] = 255
    found = {c: (row, column) for c, row, column in points_of(ring[:, :7], 7)}
    assert set(found) == {0, 1}
    for c, (row, column) in found.items():
        rows, columns = np.nonzero(ring[:, :7] == c)
        distances = (rows - 3.0) ** 2 + (columns - 3.0) ** 2  # symmetric about (3, 3), which is void
        assert ring[row, column] == c and (row - 3) ** 2 + (column - 3) ** 2 == distances.min()
    for c, row, column in points_of(ring, 4):
        assert ring[row, column] == c


def test_tiles_cover_the_frame():
    label = np.zeros((5, 9), np.uint8)
    label[4, 8] = 3
    assert (3, 4, 8) in points_of(label, 4)
    assert [c for c, *_ in points_of(label, 4)].count(0) == 5  # the sixth tile is the pixel of class 3


@pytest.mark.parametrize("tile", [0, 9, 1024])
def test_a_tile_must_fit_into_the_frame(tile, cache):
    with pytest.raises(ValueError, match=f"tile = {tile}: allowed are 1 to 8 for a frame of 8x10"):
        class_points(split_of(toy()), tile)
    assert not list(cache.rglob("*.npy"))


def test_the_original_would_have_drawn_no_class_there():
    g = golden("tile_too_large")
    assert len(g["centroids"]) == 0
    with pytest.raises(ValueError, match="tile = 64"):
        points_of(g["labels"][0], int(g["tile"]))


def test_an_epoch_depends_on_seed_and_epoch_alone():
    sampler = ClassUniform(table(toy()), 12, 4)
    first = sampler.compose(3, 5)
    sampler.compose(3, 6)
    assert ClassUniform(table(toy()), 12, 4).compose(3, 5) == first
    assert sampler.compose(3, 6) != first and sampler.compose(4, 5) != first


def test_points_and_frames_are_used_equally_often():
    points = np.array([[i % 3, 0, 0, i] for i in range(5)] + [[3, 1, 0, 0]], np.int32)
    draws = ClassUniform(points, 40, 2, share=0.6).compose(0, 0)
    used = Counter(draw.point for draw in draws if draw.label == 0)
    assert len(used) == 5 and sum(used.values()) == 12 and max(used.values()) - min(used.values()) == 1
    assert sum(draw == Draw(3, 1, (0, 0)) for draw in draws) == 12
    free = [draw.frame for draw in draws if draw.label is None]
    assert len(free) == len(set(free)) == 16 and all(draw.point is None for draw in draws if draw.label is None)


def test_an_absent_class_is_named_and_gives_its_share_to_the_others():
    labels = toy(classes=3)
    with pytest.warns(UserWarning, match=r"no frame shows the classes \[3\]"):
        sampler = ClassUniform(table(labels), 12, 4)
    assert Counter(draw.label for draw in sampler.compose(0, 0)) == {None: 6, 0: 2, 1: 2, 2: 2}


def test_each_point_shows_its_class():
    labels = toy()
    for draw in ClassUniform(table(labels), 12, 4).compose(0, 0):
        assert draw.label is None or labels[draw.frame][draw.point] == draw.label


def test_without_a_share_an_epoch_shows_each_frame_once():
    draws = ClassUniform(table(toy()), 12, 4, share=0.0).compose(0, 0)
    assert sorted(draw.frame for draw in draws) == list(range(12))


def test_the_boost_adds_coarse_frames_to_its_classes_until_its_last_epoch():
    coarse = table(toy(frames=30, seed=1))
    sampler = ClassUniform(table(toy(frames=40)), 40, 4, boost=coarse, boosted=(2, 3), last_epoch=10)
    draws = [draw for epoch in range(8, 11) for draw in sampler.compose(0, epoch)]
    assert {draw.label for draw in draws if draw.frame >= 40} == {2, 3}
    assert max(draw.frame for draw in draws) < 70
    assert Counter(draw.label for draw in draws) == {None: 60, 0: 15, 1: 15, 2: 15, 3: 15}
    assert all(draw.frame < 40 for epoch in range(11, 15) for draw in sampler.compose(0, epoch))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"share": 1.5}, "share = 1.5: allowed are 0 to 1"),
        ({"share": 0.1}, "share = 0.1 of 12 frames is less than one for each of 4 classes"),
        ({"boosted": (4,), "boost": table(toy())}, r"boosted = \[4\]: allowed are the classes 0 to 3"),
        ({"boosted": (1,)}, r"boosted = \[1\] needs `boost`"),
        ({"points": np.empty((0, 4), np.int32)}, "points: no frame shows one of the classes 0 to 3"),
    ],
)
def test_a_bad_setting_is_named_with_the_allowed_ones(how, message):
    with pytest.raises(ValueError, match=message):
        ClassUniform(**{"points": table(toy()), "frames": 12, "classes": 4} | how)


def test_crops_contain_their_point_in_all_of_2000_draws():
    data = replace(Config().data, crop_height=64, crop_width=96)
    rng = np.random.default_rng(0)
    stored, moved = (360, 480), 0
    for _ in range(2000):
        point = int(rng.integers(stored[0])), int(rng.integers(stored[1]))
        drawn = draw_geometry(rng, stored, data)
        geometry = around(rng, drawn, point, stored)
        top, left, height, width = geometry.source
        assert top <= point[0] < top + height and left <= point[1] < left + width
        assert top >= 0 and top + height <= stored[0] and left >= 0 and left + width <= stored[1]
        assert replace(geometry, source=drawn.source) == drawn and geometry.source[2:] == drawn.source[2:]
        moved += geometry != drawn
    assert moved > 1000


def test_every_place_that_contains_the_point_is_as_likely():
    rng = np.random.default_rng(0)
    for at, length, side, starts in ((5, 3, 10, [3, 4, 5]), (0, 3, 10, [0]), (9, 3, 10, [7]), (4, 10, 10, [0])):
        found = Counter(start_containing(rng, at, length, side) for _ in range(600))
        assert sorted(found) == starts and min(found.values()) > 0.7 * 600 / len(starts)
    with pytest.raises(ValueError, match="at = 10, length = 3: allowed are 0 to 9 and 1 to 10"):
        start_containing(rng, 10, 3, 10)


def test_a_crop_around_a_rare_class_shows_it():
    data = replace(Config().data, crop_height=64, crop_width=96, scale_min=1.0, scale_max=1.6)
    label = np.zeros((360, 480), np.uint8)
    label[200:204, 300:304] = 7
    ((_, *point),) = [found for found in points_of(label, 360) if found[0] == 7]
    rng = np.random.default_rng(0)
    for _ in range(50):
        geometry = around(rng, draw_geometry(rng, label.shape, data), tuple(point), label.shape)
        assert (crop_label(label, geometry, (64, 96)) == 7).any()


def test_points_are_computed_once_per_hash_and_tile(cache, monkeypatch):
    calls, original = [], sampling.points_of
    monkeypatch.setattr(sampling, "points_of", lambda label, tile: calls.append(tile) or original(label, tile))
    first = class_points(split_of(toy()), 4)
    assert np.array_equal(first, table(toy())) and first.dtype == np.int32 and len(calls) == 12
    assert np.array_equal(class_points(split_of(toy()), 4), first) and len(calls) == 12
    other = class_points(split_of(toy(seed=1), digest="b" * 64), 4)
    assert len(calls) == 24 and not np.array_equal(other, first)
    class_points(split_of(toy()), 8)
    assert len(calls) == 36
    assert sorted(path.suffix for path in cache.rglob("*.*")) == 3 * [".lock"] + 3 * [".npy"]


def test_a_damaged_cache_is_written_again(cache):
    first = class_points(split_of(toy()), 4)
    (path,) = cache.rglob("*.npy")
    path.write_bytes(path.read_bytes()[:50])
    assert np.array_equal(class_points(split_of(toy()), 4), first)
    assert np.array_equal(np.load(path), first)


@pytest.mark.parametrize("tile", [1, 7, 16, 40])
def test_points_are_those_of_a_search_through_the_whole_tile(tile):
    rng = np.random.default_rng(tile)
    label = np.kron(rng.integers(0, 6, (10, 12)), np.ones((4, 5))).astype(np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    label[20:30, 3:50] = 254
    expected = []
    for top, left in np.ndindex(-(-40 // tile), -(-60 // tile)):
        part = label[top * tile : (top + 1) * tile, left * tile : (left + 1) * tile]
        for c in np.unique(part[part != 255]):
            rows, columns = np.nonzero(part == c)
            nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            expected.append((c, top * tile + rows[nearest], left * tile + columns[nearest]))
    assert points_of(label, tile) == expected
