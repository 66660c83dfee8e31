"""Class tables against the published lists, their colours, and wrong values."""

import numpy as np
import pytest

from dsrl_lib.data.class_tables import CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_ID, VOID, ClassTable, class_table, colourise


def test_camvid_rows_point_at_the_cityscapes_classes_of_the_same_thing() -> None:
    pairs = dict(zip(CAMVID.classes, (CITYSCAPES.classes[row] for row in CAMVID.cityscapes_rows), strict=True))
    assert pairs == {
        "Sky": "sky",
        "Building": "building",
        "Pole": "pole",
        "Road": "road",
        "Pavement": "sidewalk",
        "Tree": "vegetation",
        "SignSymbol": "traffic sign",
        "Fence": "fence",
        "Car": "car",
        "Pedestrian": "person",
        "Bicyclist": "bicycle",
    }


def test_cityscapes_ids_of_the_official_table() -> None:
    # The published list of label ids that are evaluated, in the order of their train ids.
    official = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert [CITYSCAPES_TRAIN_ID[i] for i in official] == list(range(19))
    assert {i for i, train_id in CITYSCAPES_TRAIN_ID.items() if train_id == VOID} == set(range(34)) - set(official)


def test_colourise_by_hand() -> None:
    colours = colourise(np.array([[0, 3], [255, 10]], np.uint8), CAMVID)
    assert colours.tolist() == [[[128, 128, 128], [128, 64, 128]], [[0, 0, 0], [0, 128, 192]]]


def test_errors_name_the_value_and_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'kity': choose one of camvid, .*cityscapes, .*streets, .*voc"):
        class_table("kity")
    with pytest.raises(ValueError, match=r"label \[11\]: camvid has 0 to 10, 255"):
        colourise(np.full((1, 1), 11, np.uint8), CAMVID)
    with pytest.raises(ValueError, match=r"class table x: \[2, 1, 1\]"):
        ClassTable("x", ("a", "b"), ((0, 0, 0),), (0,))


def test_streets_shares_the_cityscapes_table() -> None:
    assert class_table("streets") is class_table("cityscapes") is CITYSCAPES
