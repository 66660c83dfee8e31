"""What true labels at samples can give, on label maps whose answer is known."""

import numpy as np
import pytest

from dsrl_lib.config import Config
from dsrl_lib.evaluation.reduced_labels import reduced_label_iou
from dsrl_lib.evaluation.sampled_labels import sampled_label_table
from dsrl_lib.metrics import VOID


def pole(column: int, size=(36, 48)):
    labels = np.zeros(size, np.uint8)
    labels[:, column : column + 3] = 1
    return labels


def test_a_sample_for_each_pixel_loses_nothing():
    labels = np.random.default_rng(0).integers(0, 3, (12, 16), np.uint8)
    labels[3:5] = VOID
    assert sampled_label_table([labels], 3, [(12, 16)], {}).loc["12x16", "uniform"] == pytest.approx(100)


def test_locations_near_a_boundary_find_what_uniform_ones_miss():
    table = sampled_label_table([pole(19), pole(30)], 2, [(6, 8), (9, 12)], {"3 x 3": (3, 3), "full": None})
    assert list(table.columns) == ["uniform", "3 x 3", "full"] and list(table.index) == ["6x8", "9x12"]
    nothing = 100 * (1 - 3 / 48) / 2  # IoU of the background alone
    assert table.loc["6x8", "uniform"] == pytest.approx(nothing) and table.loc["6x8", "full"] > 90
    assert table.loc["9x12", "full"] == pytest.approx(100) and table.loc["9x12", "uniform"] < 60


def test_without_boundaries_all_grids_agree():
    table = sampled_label_table([np.zeros((20, 30), np.uint8)], 2, [(4, 6)], {"full": None})
    assert table.loc["4x6"].tolist() == [100, 100]


def test_reduced_labels_by_hand():
    """At half the size, the lower right pixel of each 2 x 2 stands for the four; of the first one it is void."""
    labels = np.array([[0, 0, 1, 1], [0, VOID, 1, 1], [0, 0, 1, 0], [0, 0, 1, 1]], np.uint8)
    found = reduced_label_iou([labels], Config())
    assert found[:2] == pytest.approx([7 / 8, 7 / 8]) and np.isnan(found[2:]).all()
