"""Data sets beyond the study's: small trees in the layout of each, read, trained on and scored."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import SBDataset, VOCSegmentation

from dsrl_lib.config import Config, datasets
from dsrl_lib.data import split
from dsrl_lib.data.class_tables import VOC, class_table
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.readers import coco as coco_reader
from dsrl_lib.data.split import load_split
from dsrl_lib.data.transforms import frame_size
from dsrl_lib.deploy.predict import predict
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.evaluation.report import split_report
from dsrl_lib.models.host import replaced_classifier
from dsrl_lib.network import load
from dsrl_lib.overrides import override
from dsrl_lib.registry import DATASETS
from dsrl_lib.training.fit import fit
from study.__main__ import main
from study.presets import preset

SIZE = (32, 64)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, with a cache of its own."""
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def cycle(*ids: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.resize(np.array(ids, np.uint8), size)


def cities(loaded: split.Split) -> list[str]:
    return sorted({name.split("_")[0] for name in loaded.names})


# Cityscapes: cross-validation and coarse labels

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


# KITTI

KITTI_SIZES = ((32, 64), (33, 67), (30, 64))


@pytest.fixture
def kitti(root: Path) -> Path:
    """Twelve frames of three sizes."""
    for k in range(12):
        size = KITTI_SIZES[k % 3]
        save(root / f"kitti/training/image_2/{k:06}_10.png", picture(k, size))
        save(root / f"kitti/training/semantic/{k:06}_10.png", cycle(7, 11, 24, 6, 255, size=size))
    return root / "kitti"


def test_kitti_is_read_at_the_sizes_it_has(kitti: Path) -> None:
    train, val = load_split("kitti", "train"), load_split("kitti", "val")
    assert val.names == ["000000_10", "000010_10"] == load_split("kitti", "test").names
    assert train.names == [f"{k:06}_10" for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)]
    assert load_split("kitti_cv1", "val").names == ["000001_10", "000011_10"]
    assert load_split("kitti_cv2", "val").names == ["000002_10"]
    assert [label.shape for label in train.labels][:3] == [(33, 67), (30, 64), (32, 64)]
    for index, k in enumerate((1, 2)):
        assert (train.images[index] == picture(k, KITTI_SIZES[k])).all()
        assert (train.labels[index] == cycle(0, 2, 11, 255, 255, size=KITTI_SIZES[k])).all()
    again = pickle.loads(pickle.dumps(train))
    assert again.manifest_hash == train.manifest_hash and (again.images[1] == train.images[1]).all()
    for path in (kitti / "training/image_2").glob("*"):
        path.unlink() if path.stem != "000000_10" else None
    with pytest.raises(DataError, match=r"kitti_cv1 val is empty: too few files"):
        load_split("kitti_cv1", "val")


def test_frames_of_many_sizes_keep_their_aspect(kitti: Path) -> None:
    config = override(preset("smoke", "lr"), "data.dataset", "kitti")
    assert frame_size((33, 67), config.data) == (128, 260)  # 67 / 33 * 128
    assert frame_size((33, 67), preset("smoke", "lr").data) == (128, 256)
    for key, value in {"height": 30, "crop_height": 40, "crop_width": 100, "scale_max": 0.5, "flip": 0.0}.items():
        config = override(config, f"data.{key}", value)
    sample = TrainingSet(load_split("kitti", "train"), config.data, seed=0, input_scale=0.5)[0, 1]
    frame = (sample["labels"] != 255) | (sample["hr"] != torch.tensor([124, 116, 104])[:, None, None]).any(0)
    assert frame.any(1).sum() == 15 and frame.any(0).sum() == 32  # 30 x 64 at scale 0.5; the rest of the crop is void
    assert sample["hr"].shape == (3, 40, 100) and sample["input"].shape == (3, 20, 50)


def test_training_and_scores_on_frames_of_many_sizes(kitti: Path, results: Path) -> None:
    tiny = ("data.height=32", "data.crop_height=40", "data.crop_width=64", "optim.epochs=1", "optim.batch_size=5")
    directory = fit(preset("smoke", "sssr", overrides=("data.dataset=kitti", *tiny)), progress=False)
    known = [(load_split("kitti", "val").labels[k] != 255).sum() for k in range(2)]
    with np.load(directory / "counts_val.npz") as counts:  # at the original sizes: every known pixel is counted once
        assert counts["counts"][:, :, [0, 2]].sum((1, 2)).tolist() == known
        stored = counts["counts"]
    model, config = load(directory / "final.safetensors")
    assert (evaluate(model, load_split("kitti", "val"), config).counts == stored).all()
    report = split_report(model, config, "kitti", "val", progress=False)
    assert report.evaluation.counts[:, :, [0, 2]].sum((1, 2)).tolist() == known
    done = predict(model, config, ["kitti:val"], results / "predicted", progress=False)
    assert (done.written, done.failed) == (2, ())
    with Image.open(results / "predicted/diff/000010_10.png") as picture_of_errors:
        assert picture_of_errors.size == (67, 33)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("folder", r"looked for .*kitti/training/semantic. Get data_semantics.zip from https://www.cvlibs.net"),
        ("label", r"image .*image_2/000001_10.png has no label map: looked for .*semantic/000001_10.png"),
        ("size", r"semantic/000001_10.png is 32 x 67, not 33 x 67 .* as .*image_2/000001_10.png is"),
        ("id", r"semantic/000001_10.png has unknown ids \[40\]; known ids are 0-33, 255"),
        ("truncated", r"cannot read image .*image_2/000001_10.png"),
        ("empty", r"no images in .*kitti/training/image_2"),
    ],
)
def test_bad_frames_are_errors_that_name_the_file(kitti: Path, case: str, said: str) -> None:
    image, label = (kitti / f"training/{folder}/000001_10.png" for folder in ("image_2", "semantic"))
    match case:
        case "folder":
            shutil.rmtree(label.parent)
        case "label":
            label.unlink()
        case "size":
            save(label, cycle(7, size=(32, 67)))
        case "id":
            save(label, cycle(40, size=(33, 67)))
        case "truncated":
            image.write_bytes(image.read_bytes()[:100])
        case "empty":
            shutil.rmtree(image.parent)
            image.parent.mkdir()
    with pytest.raises(DataError, match=said):
        loaded = load_split("kitti", "train")
        _ = loaded.images[0], loaded.labels[0]


# Mapillary Vistas


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
    with pytest.raises(DataError, match=r"config.json is not the list of labels of Mapillary Vistas 1.2: KeyError"):
        class_table("mapillary")
    (mapillary / "config.json").unlink()
    with pytest.raises(DataError, match=r"class list .*config.json cannot be read .*mapillary.com/dataset/vistas"):
        load_split("mapillary", "train")


def test_a_class_without_a_published_row_starts_afresh() -> None:
    layer = torch.nn.Conv2d(3, 19, 1)
    new = replaced_classifier(layer, 3, (None, 0, 6))
    assert torch.equal(new.weight[1:], layer.weight[[0, 6]]) and torch.equal(new.bias[1:], layer.bias[[0, 6]])
    assert new.bias[0] == 0 and not (new.weight[0] == layer.weight).flatten(1).all(1).any()
    assert (replaced_classifier(layer, 2, (None, None)).bias == 0).all()
    with pytest.raises(ValueError, match="need 2 indices from 0 to 18"):
        replaced_classifier(layer, 2, (None, 19))


# Pascal VOC with SBD


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


# COCO

NAMES = ("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "bird", "cat", "dog",
         "horse", "sheep", "cow", "bottle", "chair", "couch", "potted plant", "dining table", "tv")  # fmt: skip
COCO_ID = {name: 3 * k + 1 for k, name in enumerate(NAMES)}


def square(name: str, image: int, *box: int) -> dict:
    top, left, bottom, right = box
    outline = [left, top, right, top, right, bottom, left, bottom]
    return {"image_id": image, "category_id": COCO_ID[name], "iscrowd": 0, "segmentation": [outline]}


@pytest.fixture
def coco(root: Path) -> Path:
    """Image 7 is full of objects; image 3 has too few pixels of them to be trained on."""
    crowd = {"size": list(SIZE), "counts": [32 * 60, 32 * 4]}  # the last four columns
    objects = [
        square("person", 7, 0, 0, 20, 40),
        square("truck", 7, 20, 0, 32, 10),  # no class of VOC
        square("dining table", 7, 10, 0, 32, 60),  # behind the person
        {"image_id": 7, "category_id": COCO_ID["cat"], "iscrowd": 1, "segmentation": crowd},
        square("tv", 3, 0, 0, 2, 2) | {"segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [4, 0, 6, 0, 6, 2, 4, 2]]},
    ]
    content = {
        "categories": [{"id": number, "name": name} for name, number in COCO_ID.items()],
        "images": [{"id": k, "file_name": f"{k:012}.jpg", "height": 32, "width": 64} for k in (7, 3)],
        "annotations": objects,
    }
    (root / "coco/annotations").mkdir(parents=True)
    for part in ("train", "val"):
        (root / f"coco/annotations/instances_{part}2017.json").write_text(json.dumps(content))
        for k in (7, 3):
            save(root / f"coco/{part}2017/{k:012}.jpg", picture(k))
    return root / "coco"


def test_coco_with_the_classes_of_voc(coco: Path) -> None:
    train, val = load_split("coco", "train"), load_split("coco", "val")
    assert train.names == ["000000000007"] and val.names == ["000000000003", "000000000007"]
    expected = np.zeros(SIZE, np.uint8)
    expected[10:32, :60] = VOC.classes.index("diningtable")
    expected[:20, :40] = VOC.classes.index("person")
    expected[:, 60:] = VOC.classes.index("cat")
    assert (train.labels[0] == expected).all() and (val.labels[1] == expected).all()
    small = np.zeros(SIZE, np.uint8)
    small[:2, :2] = small[:2, 4:6] = VOC.classes.index("tvmonitor")
    assert (val.labels[0] == small).all()
    assert (val.images[0] == np.asarray(Image.open(coco / "val2017/000000000003.jpg"))).all()


def test_coco_is_drawn_once_and_again_when_it_changes(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_split("coco", "val")
    with monkeypatch.context() as patch:
        patch.setattr(coco_reader, "_write", None)  # it would fail if called
        assert load_split("coco", "val").manifest_hash == first.manifest_hash
    path = coco / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace('"person"', '"human"').replace('"truck"', '"person"'))
    assert (load_split("coco", "val").labels[1][25, 5]) == VOC.classes.index("person")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["categories"].pop(), r"instances_val2017.json is not a file of COCO .*KeyError\('tv'\)"),
        (lambda c: c["annotations"][3]["segmentation"].update(counts="abc"), r"image 000000000007: .*are compressed"),
        (lambda c: c["annotations"][3]["segmentation"].update(counts=[9]), r"image 000000000007: .*add up to 9"),
        (lambda c: c["annotations"][3]["segmentation"].update(size=[64, 32]), r"of size \[64, 32\], the image is"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]]), r"image 000000000007: ValueError"),
        (lambda c: c["images"][0].update(file_name="other.jpg"), r"val2017/other.jpg is missing, but .*names it"),
    ],
)
def test_bad_coco(coco: Path, change, said: str) -> None:
    path = coco / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=said):
        load_split("coco", "val")
    assert not list((coco.parents[1] / "cache").glob(".coco-*")), "what was begun is gone"


# What all of them share


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name not in ("streets", "camvid")])
def test_missing_data_says_what_to_get_from_where(root: Path, dataset: str) -> None:
    with pytest.raises(DataError, match=r"https?://.*DSRL_DATA") as raised:
        load_split(dataset, "train")
    assert str(root / dataset.partition("_")[0]) in str(raised.value)


def test_the_command_line_takes_any_data_set(root: Path, results: Path, monkeypatch, capsys) -> None:
    for name, said in (("voc", "Get VOCtrainval_11-May-2012.tar"), ("kity", "allowed: streets, camvid, cityscapes")):
        arguments = ["study", "train", "--profile", "camvid", "--arm", "lr", "--set", f"data.dataset={name}"]
        monkeypatch.setattr(sys, "argv", arguments)
        assert main() == 1
        assert said in capsys.readouterr().err


def test_every_published_name_can_be_set_and_another_is_explained(root: Path) -> None:
    for name in DATASETS:
        assert override(Config(), "data.dataset", name).data.dataset == name
    with pytest.raises(ValueError, match=r"data.dataset = 'kity'; allowed: streets, .*kitti, .*classes.txt"):
        override(Config(), "data.dataset", "kity")
    assert datasets() == tuple(DATASETS)
