"""Cityscapes: cross-validation over cities, coarse labels, and splits too large to keep."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from written_frames import cycle, picture, save

from dsrl_lib.data import split
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import load_split


def cities(loaded: split.Split) -> list[str]:
    return sorted({name.split("_")[0] for name in loaded.names})


VAL = ("frankfurt", "lindau", "munster")
TRAIN = (
    "aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg", "hanover", "jena",
    "krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen", "ulm", "weimar", "zurich",
)  # fmt: skip


def city(root: Path, part: str, name: str, ids: np.ndarray, labels: str = "gtFine", frame: int = 19) -> None:
    stem = f"{part}/{name}/{name}_000000_{frame:06}"
    save(root / f"cityscapes/leftImg8bit/{stem}_leftImg8bit.png", picture(frame, ids.shape))
    save(root / f"cityscapes/{labels}/{stem}_{labels}_labelIds.png", ids)


def test_cityscapes_folds_hold_out_cities(root: Path) -> None:
    for part, names in (("val", VAL), ("train", TRAIN)):
        for name in names:
            city(root, part, name, np.full((4, 8), 7, np.uint8))
    # 21 cities, the three of val first: a fold starts at city 0, 7 and 14 of them.
    held_out = {"cityscapes": VAL, "cityscapes_cv1": TRAIN[4:7], "cityscapes_cv2": TRAIN[11:14]}
    assert held_out["cityscapes_cv1"] == ("darmstadt", "dusseldorf", "erfurt")
    for dataset, names in held_out.items():
        val, rest = load_split(dataset, "val"), load_split(dataset, "train")
        assert cities(val) == list(names)
        assert cities(rest) == sorted({*VAL, *TRAIN} - set(names))
        assert load_split(dataset, "test").names == val.names
        assert (val.labels == 0).all() and val.labels.shape == (3, 4, 8)


def test_an_image_of_another_kind_is_refused(root: Path) -> None:
    city(root, "val", "lindau", cycle(26, size=(4, 8)))
    other = root / "cityscapes/leftImg8bit/val/lindau/lindau_000000_000020_leftImg8bit.jpg"
    other.write_bytes(b"")
    with pytest.raises(DataError, match=r"lindau_000000_000020_leftImg8bit\.jpg; allowed: .* end in _leftImg8bit\.png"):
        load_split("cityscapes", "val")


def test_cityscapes_coarse_trains_on_coarse_and_validates_on_fine_labels(root: Path) -> None:
    city(root, "train_extra", "augsburg", cycle(7, 0, 24, size=(4, 8)), "gtCoarse")
    city(root, "train_extra", "troisdorf", cycle(7, size=(4, 8)), "gtCoarse", frame=73)
    city(root, "val", "lindau", cycle(26, size=(4, 8)))
    loaded = load_split("cityscapes_coarse", "train")
    assert loaded.names == ["augsburg_000000_000019"]  # the image of troisdorf_000000_000073 is black
    assert (loaded.labels[0] == cycle(0, 255, 11, size=(4, 8))).all()
    assert load_split("cityscapes_coarse", "val").names == ["lindau_000000_000019"]
    shutil.rmtree(root / "cityscapes/gtCoarse")
    with pytest.raises(DataError, match=r"looked for .*gtCoarse/train_extra. Get gtCoarse.zip from https://www.citys"):
        load_split("cityscapes_coarse", "train")


def test_a_split_too_large_to_keep_is_read_from_its_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k, name in enumerate(VAL):
        city(root, "val", name, cycle(k + 7, 8, size=(4, 8)), frame=k)
    kept = load_split("cityscapes", "val")
    monkeypatch.setattr(split, "LARGEST_CACHE", 4 * 3 * 4 * 8 - 1)  # a byte less than three frames take
    read = load_split("cityscapes", "val")
    assert kept.folder is not None and read.folder is None
    assert (read.names, read.sequences, read.manifest_hash) == (kept.names, kept.sequences, kept.manifest_hash)
    assert len(read.images) == len(read.labels) == 3
    assert all((a == b).all() for a, b in zip(read.images, kept.images, strict=True))
    assert all((a == b).all() for a, b in zip(read.labels, kept.labels, strict=True))
