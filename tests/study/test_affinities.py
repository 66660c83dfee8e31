"""What affinity maps are said to show, on maps whose answer is known; none of a data set that withholds its frames."""

import numpy as np
import pandas as pd
import pytest
import torch

from dsrl_lib.data.class_tables import VOID
from study.affinities import _sentence, affinity_maps, cosines, token_labels, within_class
from study.figures.notes import Note


def test_cosines_are_one_for_equal_directions_and_zero_for_orthogonal_ones():
    features = np.array([[[1.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [3.0, -1.0]]], np.float32)  # (2, 2, 2)
    assert cosines(features).numpy() == pytest.approx(np.array([
        [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1],
    ]))  # fmt: skip


def test_a_token_has_the_class_of_most_of_its_pixels():
    labels = np.array([[0, 0, 3, VOID], [0, 1, VOID, VOID]], np.uint8)
    assert token_labels(labels, (1, 2)).tolist() == [0, VOID]


def test_the_share_within_a_class_is_one_if_nothing_else_is_similar_and_that_of_chance_if_all_is():
    labels = torch.tensor([0, 0, 0, 1, VOID])
    blocks = (labels[:, None] == labels[None]).float()
    assert within_class(blocks, labels) == pytest.approx((1.0, (3 * 0.75 + 0.25) / 4))
    assert within_class(torch.ones(5, 5), labels) == pytest.approx(((3 * 0.75 + 0.25) / 4,) * 2)
    negative = blocks * 2 - 1  # what is unlike counts as nothing
    assert within_class(negative, labels)[0] == 1


def test_the_sentence_says_what_the_table_has():
    names = ("gap of the branches", "within its class, SSSR", "within its class, SISR")
    rows = {"a": (0.4, 0.6, 0.3), "b": (0.35, 0.61, 0.34), "c": (0.2, 0.43, 0.34)}
    means = {(key, key): pd.Series(dict(zip(names, values, strict=True))) for key, values in rows.items()}
    said = _sentence(means)
    assert said.startswith("With FA the gap is 0.20 instead of 0.40, and 0.35 if")
    assert (
        "from 0.60 to 0.43 in the SSSR branch (0.61 before the FTM), and from 0.30 to 0.34 in the SISR branch" in said
    )
    assert _sentence(dict(list(means.items())[:1])) == ""


def test_frames_of_idd_lite_are_withheld():
    assert isinstance(affinity_maps("idd", 0.5, (0.5, 0.5)), Note)
