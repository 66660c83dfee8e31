"""Mapillary Vistas: classes from the data set's own file."""

import json
from pathlib import Path

import pytest
from written_frames import cycle, picture, save

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import load_split


@pytest.fixture
def mapillary(root: Path) -> Path:
    labels = (
        ("Bird", [165, 42, 42], True),
        ("Unlabeled", [0, 0, 0], False),
        ("Road", [128, 64, 128], True),
        ("Traffic Light", [250, 170, 30], True),
    )
    config = {"labels": [{"readable": n, "color": c, "evaluate": e, "name": "x"} for n, c, e in labels]}
    (root / "mapillary").mkdir(parents=True)
    (root / "mapillary/config.json").write_text(json.dumps(config))
    for folder, stem in (("training", "b"), ("training", "a"), ("validation", "c")):
        save(root / f"mapillary/{folder}/images/{stem}.jpg", picture())
        save(root / f"mapillary/{folder}/labels/{stem}.png", cycle(0, 1, 2, 3))
    return root / "mapillary"


def test_mapillary_takes_its_classes_from_its_own_file(mapillary: Path) -> None:
    table = class_table("mapillary")
    assert table.classes == ("Bird", "Road", "Traffic Light")
    assert table.colours == ((165, 42, 42), (128, 64, 128), (250, 170, 30))
    assert table.cityscapes_rows == (None, 0, 6)  # only classes of the same name start from Cityscapes weights
    assert load_split("mapillary", "train").names == ["a", "b"]
    loaded = load_split("mapillary", "test")
    assert loaded.names == ["c"] and (loaded.labels[0] == cycle(0, 255, 1, 2)).all()
    (mapillary / "config.json").write_text('{"labels": [{"readable": "Bird"}]}')
    with pytest.raises(DataError, match=r"config.json is not the list of labels .*1.2: .*label 0.color is missing"):
        class_table("mapillary")
    for colour in ("red", [1, 2], [1, 2, "3"]):
        label = {"readable": "Bird", "color": colour, "evaluate": True}
        (mapillary / "config.json").write_text(json.dumps({"labels": [label]}))
        with pytest.raises(DataError, match=r"config.json is not the list .*label 0"):
            class_table("mapillary")
    (mapillary / "config.json").unlink()
    with pytest.raises(DataError, match=r"class list .*config.json cannot be read .*mapillary.com/dataset/vistas"):
        load_split("mapillary", "train")
