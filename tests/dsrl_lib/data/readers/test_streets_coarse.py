"""Coarsely labelled streets: other scenes than the streets', labelled only well inside each class."""

import numpy as np

from dsrl_lib.data.readers.streets_coarse import coarsened, frames
from dsrl_lib.data.sampling import class_uniform
from dsrl_lib.data.split import load_split
from dsrl_lib.settings import Data


def test_coarse_labels_end_before_the_edge_of_a_class():
    rng = np.random.default_rng(0)
    label = rng.choice([0, 1, 2, 255], (6, 5)).repeat(7, 0).repeat(9, 1).astype(np.uint8)
    for border in (1, 3):
        expected = np.full_like(label, 255)
        for row, column in np.ndindex(label.shape):
            window = label[max(0, row - border) : row + border + 1, max(0, column - border) : column + border + 1]
            if (window == label[row, column]).all():
                expected[row, column] = label[row, column]
        assert np.array_equal(coarsened(label, border), expected)


def test_train_is_other_scenes_and_the_rest_is_the_streets_own():
    coarse, fine = (load_split(name, "train") for name in ("streets_coarse", "streets"))
    assert len(coarse) == len(fine) == 64 and coarse.images[0].shape == fine.images[0].shape
    assert not any(np.array_equal(a, b) for a, b in zip(coarse.images, fine.images, strict=True))
    void = [np.mean(np.asarray(split.labels) == 255) for split in (coarse, fine)]
    assert void[0] > void[1] + 0.1
    assert load_split("streets_coarse", "val").manifest_hash == load_split("streets", "val").manifest_hash


def test_its_frames_boost_the_chosen_classes_alone():
    fine, coarse = (load_split(name, "train") for name in ("streets", "streets_coarse"))
    data = Data("streets", class_uniform=0.5, class_tile=64, boost_dataset="streets_coarse", boost_classes="4 17")
    composed = class_uniform(fine, data, coarse).compose(seed=0, epoch=0)
    boosted = [draw for draw in composed if draw.frame >= len(fine)]
    assert boosted and {draw.label for draw in boosted} <= {4, 17}
    for draw in boosted:
        assert coarse.labels[draw.frame - len(fine)][draw.point] == draw.label


def test_a_second_call_draws_nothing(monkeypatch, tmp_path):
    first = frames(tmp_path / "streets_coarse", "train")
    monkeypatch.setattr("dsrl_lib.data.readers.streets_coarse.coarsened", None)
    assert frames(tmp_path / "streets_coarse", "train") == first
