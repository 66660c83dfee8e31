"""Pascal VOC, alone and with SBD."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import SBDataset, VOCSegmentation
from written_frames import SIZE, cycle, picture, save

from dsrl_lib.data.class_tables import VOC, class_table
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import load_split


@pytest.fixture
def voc(root: Path) -> Path:
    """VOC lists a and b for training, v for validation; SBD has a, c and v for training, d for validation."""
    base = root / "voc/VOCdevkit/VOC2012"
    for part, stems in (("train", "ab"), ("val", "v")):
        (base / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        (base / f"ImageSets/Segmentation/{part}.txt").write_text("\n".join(stems) + "\n")
        for stem in stems:
            save(base / f"JPEGImages/{stem}.jpg", picture())
            ids = Image.fromarray(cycle(0, 15, 255))
            ids.putpalette(list(range(256)) * 3)
            (base / "SegmentationClass").mkdir(exist_ok=True)
            ids.save(base / f"SegmentationClass/{stem}.png")
    for part, stems in (("train", "acv"), ("val", "d")):
        for stem in stems:
            save(root / f"sbd/img/{stem}.jpg", picture(ord(stem), (48, 40)))
            (root / "sbd/cls").mkdir(exist_ok=True)
            savemat(root / f"sbd/cls/{stem}.mat", {"GTcls": {"Segmentation": cycle(0, 20, 3, size=(48, 40))}})
        (root / f"sbd/{part}.txt").write_text("\n".join(stems))
    return root


def test_voc_alone_and_with_sbd(voc: Path) -> None:
    assert load_split("voc", "train").names == ["a", "b"]
    loaded = load_split("voc_sbd", "train")
    assert loaded.names == ["a", "b", "c", "d"]  # v is validated on; a has labels in both
    assert load_split("voc_sbd", "val").names == load_split("voc", "val").names == ["v"]
    assert (loaded.labels[0] == cycle(0, 15, 255)).all() and loaded.images[0].shape == (*SIZE, 3)
    assert (loaded.labels[2] == cycle(0, 20, 3, size=(48, 40))).all()
    for index, reader in (
        (0, VOCSegmentation(voc / "voc", image_set="train")), (2, SBDataset(voc / "sbd", "train", "segmentation"))
    ):  # fmt: skip
        image, label = reader[1 if index else 0]
        assert (loaded.images[index] == np.asarray(image)).all()
        assert (loaded.labels[index] == np.asarray(label)).all()


def test_voc_classes_and_colours() -> None:
    table = class_table("voc_sbd")
    assert table is VOC is class_table("coco") and len(table.classes) == 21
    colours = dict(zip(table.classes, table.colours, strict=True))  # of the development kit
    assert colours["background"] == (0, 0, 0) and colours["aeroplane"] == (128, 0, 0)
    assert colours["person"] == (192, 128, 128) and colours["tvmonitor"] == (0, 64, 128)
    rows = dict(zip(table.classes, table.cityscapes_rows, strict=True))
    assert {name: row for name, row in rows.items() if row is not None} == {
        "bicycle": 18, "bus": 15, "car": 13, "person": 11, "train": 16,
    }  # fmt: skip


def test_bad_voc(voc: Path) -> None:
    (voc / "sbd/cls/c.mat").write_bytes(b"no")
    with pytest.raises(DataError, match=r"cannot read label map .*sbd/cls/c.mat"):
        _ = load_split("voc_sbd", "train").labels[2]
    savemat(voc / "sbd/cls/c.mat", {"GTcls": {"Segmentation": cycle(21, size=(48, 40))}})
    with pytest.raises(DataError, match=r"sbd/cls/c.mat has unknown ids \[21\]; known ids are 0-20, 255"):
        _ = load_split("voc_sbd", "train").labels[2]
    (voc / "sbd/cls/c.mat").unlink()
    with pytest.raises(DataError, match=r"sbd/cls/c.mat is missing, but the list"):
        load_split("voc_sbd", "train")
    (voc / "sbd/val.txt").unlink()
    with pytest.raises(DataError, match=r"looked for the list val.txt in .*sbd .*Get benchmark.tgz"):
        load_split("voc_sbd", "train")
    shutil.rmtree(voc / "voc/VOCdevkit")
    with pytest.raises(DataError, match=r"looked for the list val.txt in .*voc .*Get VOCtrainval_11-May-2012.tar"):
        load_split("voc", "val")
