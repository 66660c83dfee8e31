"""COCO: regions become label maps, once."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from written_frames import SIZE, picture, save

from dsrl_lib.data.class_tables import VOC
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.readers import coco as coco_reader
from dsrl_lib.data.split import list_frames, load_split

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


def test_the_hash_of_a_drawn_label_map_is_that_of_its_pixels(coco: Path) -> None:
    first = load_split("coco", "val").manifest_hash
    drawn = list_frames("coco", "val")[0].label
    pixels = np.asarray(Image.open(drawn))
    Image.fromarray(pixels).save(drawn, compress_level=0)  # as another version of Pillow might
    assert load_split("coco", "val").manifest_hash == first
    Image.fromarray(np.flipud(pixels)).save(drawn)
    assert load_split("coco", "val").manifest_hash != first


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
        (lambda c: c["annotations"][0]["segmentation"][0].__setitem__(2, float("nan")), r"000007: .*no finite numbers"),
        (lambda c: c["annotations"][0]["segmentation"][0].__setitem__(2, None), r"000007: .*no finite numbers"),
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
