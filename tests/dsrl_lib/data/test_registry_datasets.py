"""Every data set of the registry: two written frames in its layout are read, by all splits.

As few frames as each layout needs; every label map is a cycle over the stored values that have a meaning.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from written_frames import save

import streets
from dsrl_lib.data.class_tables import ClassTable, class_table
from dsrl_lib.data.readers import moving
from dsrl_lib.data.split import SPLITS, load_split
from dsrl_lib.own_data import OWN, dataset
from dsrl_lib.registry import DATASETS

SIZE = (8, 16)


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def ids(*stored: int) -> np.ndarray:
    return np.resize(np.array(stored, np.uint8), SIZE)


def write_camvid(root: Path) -> None:
    """The four videos: each fold holds one of the first three out."""
    videos = {"train": ("0001TP", "0006R0_f", "0016E5"), "val": ("0016E5",), "test": ("0001TP", "Seq05VD_f")}
    for time, split in enumerate(SPLITS):
        for video in videos[split]:
            for k in range(2):
                stem = f"{video}{'' if video.endswith('f') else '_'}{10 * time + k:05}"
                save(root / f"{split}/{stem}.png", picture())
                save(root / f"{split}annot/{stem}.png", ids(*range(12)))


def write_cityscapes(root: Path) -> None:
    """Three cities: each fold holds one of them out."""
    for labels, part, city in (
        ("gtFine", "val", "lindau"), ("gtFine", "train", "aachen"), ("gtFine", "train", "zurich"),
        ("gtCoarse", "train_extra", "augsburg"),
    ):  # fmt: skip
        for k in range(2):
            stem = f"{part}/{city}/{city}_000000_{k:06}"
            save(root / f"leftImg8bit/{stem}_leftImg8bit.png", picture())
            save(root / f"{labels}/{stem}_{labels}_labelIds.png", ids(*range(34), 255))


def write_idd_lite(root: Path) -> None:
    """Drive 0 of the official train split is trained on, and drive 26 is held out."""
    for part, drive in (("train", 0), ("train", 26), ("val", 3)):
        for k in range(2):
            save(root / f"idd20k_lite/leftImg8bit/{part}/{drive}/{k:06}_image.jpg", picture())
            save(root / f"idd20k_lite/gtFine/{part}/{drive}/{k:06}_label.png", ids(*range(7), 255))


def write_kitti(root: Path) -> None:
    """Of ten frames each fold validates on one; eleven and twelve are the second of two folds."""
    for k in range(13):
        save(root / f"training/image_2/{k:06}_10.png", picture())
        save(root / f"training/semantic/{k:06}_10.png", ids(*range(34)))


def write_mapillary(root: Path) -> None:
    labels = [{"readable": name, "color": [9, k, 9], "evaluate": k < 2} for k, name in enumerate(("Road", "Sky", "No"))]
    for folder in ("training", "validation"):
        for k in range(2):
            save(root / f"{folder}/images/{folder}{k}.jpg", picture())
            save(root / f"{folder}/labels/{folder}{k}.png", ids(0, 1, 2))
    (root / "config.json").write_text(json.dumps({"labels": labels}))


def write_voc(root: Path) -> None:
    base, sbd = root / "VOCdevkit/VOC2012", root.parent / "sbd"
    (base / "ImageSets/Segmentation").mkdir(parents=True)
    (sbd / "cls").mkdir(parents=True)
    for part in ("train", "val"):
        stems = [f"{part}{k}" for k in range(2)]
        (base / f"ImageSets/Segmentation/{part}.txt").write_text("\n".join(stems) + "\n")
        (sbd / f"{part}.txt").write_text("\n".join(f"sbd_{stem}" for stem in stems))
        for stem in stems:
            save(base / f"JPEGImages/{stem}.jpg", picture())
            save(base / f"SegmentationClass/{stem}.png", ids(*range(21), 255))
            save(sbd / f"img/sbd_{stem}.jpg", picture())
            savemat(sbd / f"cls/sbd_{stem}.mat", {"GTcls": {"Segmentation": ids(*range(21))}})


def write_coco(root: Path) -> None:
    """One object on each image, larger than the reader's least number of pixels of a training image."""
    names = ("airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
             "dog", "horse", "motorcycle", "person", "potted plant", "sheep", "couch", "train", "tv")  # fmt: skip
    outline = [0, 0, 40, 0, 40, 40, 0, 40]
    (root / "annotations").mkdir(parents=True)
    for part in ("train", "val"):
        content = {
            "categories": [{"id": 3 * k, "name": name} for k, name in enumerate(names)],
            "images": [{"id": k, "file_name": f"{part}{k}.jpg", "height": 48, "width": 64} for k in range(2)],
            "annotations": [{"image_id": k, "category_id": 3 * k, "segmentation": [outline]} for k in range(2)],
        }
        (root / f"annotations/instances_{part}2017.json").write_text(json.dumps(content))
        for k in range(2):
            save(root / f"{part}2017/{part}{k}.jpg", np.zeros((48, 64, 3), np.uint8))


def write_own(root: Path) -> None:
    for split in SPLITS:
        for k in range(2):
            save(root / f"{split}/images/{split}{k}.png", picture())
            save(root / f"{split}/labels/{split}{k}.png", ids(0, 1, 255))
    (root / "classes.txt").write_text("soil\ntree\n")


WRITE = {
    "camvid": write_camvid, "cityscapes": write_cityscapes, "idd_lite": write_idd_lite, "kitti": write_kitti,
    "mapillary": write_mapillary, "voc": write_voc, "coco": write_coco, "streets": lambda root: None,
    "streets_coarse": lambda root: None, "moving": lambda root: None, "orchard": write_own,
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder with a cache of its own, and streets of six small scenes, at rest and moving."""
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    few = partial(streets.write, height=32, width=64, images=dict.fromkeys(SPLITS, 2))
    monkeypatch.setattr(streets, "write", few)
    monkeypatch.setattr(moving, "VIDEOS", {"train": 2})
    monkeypatch.setattr(moving, "STILLS", {"val": 2, "test": 2})
    return tmp_path / "data"


@pytest.mark.parametrize("name", [*DATASETS, "orchard"])
def test_all_splits_of_a_data_set_load(data: Path, name: str) -> None:
    entry = dataset(name)
    folder = entry.folder or name
    if name in ("moving_joint", "moving_labels", "moving_shuffled"):
        pytest.importorskip("cv2", reason="OpenCV is optional")
    assert folder in WRITE, f"write two frames of {name} here, in the layout of {folder}"
    WRITE[folder](data / folder)
    table, seen, names = class_table(name), set(), {}
    for split in SPLITS:
        loaded = load_split(name, split)
        names[split] = loaded.names
        assert len(loaded) >= 1 and len(set(loaded.names)) == len(loaded.names) == len(loaded.sequences)
        for image, label in zip(loaded.images, loaded.labels, strict=True):
            assert image.dtype == label.dtype == np.uint8 and image.shape == (*label.shape, 3)
            seen |= set(np.unique(label).tolist())
        assert (loaded.folder is not None) == (entry.one_size is not None)
    assert isinstance(table, ClassTable) and seen <= {*range(len(table.classes)), 255}
    assert len(seen) > 2
    assert not set(names["train"]) & {*names["val"], *names["test"]}
    assert entry.test_labels or names["test"] == names["val"]


def test_a_name_without_an_entry_is_your_own_data_set() -> None:
    assert dataset("orchard") is OWN and dataset("camvid") is DATASETS["camvid"]
