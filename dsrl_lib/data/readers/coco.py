"""COCO 2017 with the classes of Pascal VOC: objects of other classes are background.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.
    coco/{train,val}2017/<image>.jpg and coco/annotations/instances_{train,val}2017.json
The label maps are drawn once, as PNG files in the cache: the annotations alone would fill some GB of memory in every
process. torchvision's CocoDetection needs pycocotools, which this library does without.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dsrl_lib.data.frames import DataError, Frame
from dsrl_lib.data.made import made
from dsrl_lib.data.readers.polygons import polygon_mask, run_length_mask
from dsrl_lib.data.readers.voc import TABLE
from dsrl_lib.paths import cache_dir
from dsrl_lib.progress import bar

CATEGORIES = (
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table", "dog",
    "horse", "motorcycle", "person", "potted plant", "sheep", "couch", "train", "tv",
)  # fmt: skip
"""COCO's names of the VOC classes 1 to 20."""

LEAST_PIXELS = 1000
"""A training image has more pixels of these classes than this, as in the earlier systems (pytorch-deeplab-xception)."""


VERSION = 1
"""Of how label maps are drawn: another number draws them anew."""


def frames(root: Path, split: str) -> list[Frame]:
    """The frames of `train` or `val`, sorted. DataError for missing folders and files, and for bad annotations."""
    images, annotations = root / f"{split}2017", root / "annotations" / f"instances_{split}2017.json"
    for wanted in (images, annotations):
        if not wanted.exists():
            raise DataError(f"COCO is not complete: looked for {wanted}. Get {split}2017.zip and "
                            f"annotations_trainval2017.zip from https://cocodataset.org/#download and unpack both in "
                            f"{root}, or set DSRL_DATA to the folder that contains {root.name}/")  # fmt: skip
    stat = annotations.stat()
    listed = f"{VERSION} {annotations} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    key = hashlib.sha256(listed.encode()).hexdigest()[:12]
    # DEVIATION: of COCO every val image is scored; the earlier systems leave out those with few pixels.
    least = LEAST_PIXELS if split == "train" else -1
    folder = made(cache_dir() / f"coco-{split}-{key}", lambda folder: _write(folder, annotations, least))
    drawn = sorted(folder.glob("*.png"))
    found = [Frame(x.stem, x.stem, images / f"{x.stem}.jpg", x, TABLE, drawn=("label",)) for x in drawn]
    for frame in found:
        if not frame.image.is_file():
            raise DataError(f"{frame.image} is missing, but {annotations} names it: unpack {split}2017.zip again")
    if not found:
        raise DataError(f"{annotations} names no image with more than {LEAST_PIXELS} pixels of the VOC classes")
    return found


def _write(folder: Path, path: Path, least: int) -> None:
    """A label map for each image of the annotation file with more than `least` pixels of the classes."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
        ids = {category["name"]: category["id"] for category in content["categories"]}
        classes = {ids[name]: k for k, name in enumerate(CATEGORIES, 1)}
        objects = defaultdict(list)
        for item in content["annotations"]:
            objects[item["image_id"]].append(item)
        listed = [
            (item["id"], Path(item["file_name"]).stem, item["height"], item["width"]) for item in content["images"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a file of COCO object annotations: {error!r}") from error
    for number, stem, height, width in bar(listed, f"draw {path.stem}", leave=False):
        try:
            label = label_map(objects[number], classes, height, width)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} has a region that cannot be drawn, in image {stem}: {error!r}") from error
        if np.count_nonzero(label) > least:
            Image.fromarray(label).save(folder / f"{stem}.png", compress_level=3)


def label_map(objects: Sequence[dict[str, Any]], classes: dict[int, int], height: int, width: int) -> np.ndarray:
    """uint8 (H, W): 0 is background; where objects overlap, the first one is on top.

    objects: annotations of one image. classes: category id to class id; other categories are background.
    ValueError where a region is neither polygons nor uncompressed run lengths, the two that COCO's own files have.
    """
    label = np.zeros((height, width), np.uint8)
    for item in objects:
        if item["category_id"] in classes:
            label[_region(item["segmentation"], height, width) & (label == 0)] = classes[item["category_id"]]
    return label


def _region(shape: Any, height: int, width: int) -> np.ndarray:
    """bool (H, W): one or several polygons of an object, or the run lengths of a crowd."""
    if isinstance(shape, list):
        return np.any([np.zeros((height, width), bool), *(polygon_mask(p, height, width) for p in shape)], axis=0)
    if not isinstance(shape["counts"], list):
        raise ValueError("its run lengths are compressed; write them as a list of numbers")
    if tuple(shape["size"]) != (height, width):
        raise ValueError(f"its region is of size {shape['size']}, the image is {[height, width]}")
    return run_length_mask(shape["counts"], height, width)
