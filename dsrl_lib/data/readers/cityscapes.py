"""Cityscapes in the official layout; also the layout that `streets` is written in.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
    leftImg8bit/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png (or _labelTrainIds.png)
    gtCoarse/train_extra/<city>/<city>_<sequence>_<frame>_gtCoarse_labelIds.png
"""

from pathlib import Path

from dsrl_lib.data.class_tables import CITYSCAPES, CITYSCAPES_TRAIN_ID, VOID
from dsrl_lib.data.frames import DataError, Frame, label_table
from dsrl_lib.data.images import is_hidden, with_end

IMAGE = "_leftImg8bit.png"
# 255 is how the id -1 (licence plate) is stored.
ID_TABLE = label_table({**CITYSCAPES_TRAIN_ID, 255: VOID})
# Official ids first: train ids are derived from them.
TABLES = {
    "labelIds.png": ID_TABLE,
    "labelTrainIds.png": label_table({k: k for k in range(len(CITYSCAPES.classes))} | {255: VOID}),
}
PACKAGES = {
    "gtFine": ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"),
    "gtCoarse": ("leftImg8bit_trainextra.zip", "gtCoarse.zip"),
}
FOLDS = 3
BLACK = "troisdorf_000000_000073"
"""The published image of this coarse frame is all black."""


def frames(root: Path, split: str, labels: str = "gtFine") -> list[Frame]:
    """The frames of a split folder, sorted by city and name.

    DataError for a missing folder, an empty split, and an image without a label map.
    """
    images = root / "leftImg8bit" / split
    for folder, package in zip((images, root / labels / split), PACKAGES[labels], strict=True):
        if not folder.is_dir():
            raise DataError(
                f"Cityscapes is not complete: looked for {folder}. Get {package} from "
                f"https://www.cityscapes-dataset.com/downloads/ (free registration) and unpack it in {root}, "
                f"or set DSRL_DATA to the folder that contains {root.name}/"
            )
    paths = with_end((path for path in images.glob("*/*") if not any(map(is_hidden, path.parts[-2:]))), IMAGE)
    if not paths:
        raise DataError(f"Cityscapes split {split!r} is empty: no <city>/*{IMAGE} in {images}")
    return [_frame(root, split, labels, path) for path in paths]


def fold_frames(root: Path, split: str, fold: int) -> list[Frame]:
    """A cross-validation split of `train` and `val`, by cities (Zhu et al., CVPR 2019; NVIDIA/semantic-segmentation).

    The cities are listed, those of the official `val` first; as many of them are `val` of a fold, from a third (fold 1)
    or two thirds (fold 2) of the list on. The cities of both parts are sorted. The official split is fold 0.
    """
    found = frames(root, "val") + frames(root, "train")
    cities = list(dict.fromkeys(_city(frame) for frame in found))
    start, length = fold * len(cities) // FOLDS, len({_city(frame) for frame in frames(root, "val")})
    held_out = cities[start : start + length]
    return [frame for frame in found if (_city(frame) in held_out) == (split == "val")]


def coarse_frames(root: Path, split: str) -> list[Frame]:
    """`train` is train_extra with its coarse labels, 19997 frames; `val` is the official one with its fine labels."""
    if split == "train":
        return [frame for frame in frames(root, "train_extra", "gtCoarse") if frame.name != BLACK]
    return frames(root, split)


def _city(frame: Frame) -> str:
    return frame.image.parent.name


def _frame(root: Path, split: str, labels: str, image: Path) -> Frame:
    city, stem = image.parent.name, image.name.removesuffix(IMAGE)
    folder = root / labels / split / city
    for suffix, table in TABLES.items():
        if (label := folder / f"{stem}_{labels}_{suffix}").is_file():
            return Frame(stem, stem.rsplit("_", 1)[0], image, label, table)
    wanted = " or ".join(f"_{labels}_{suffix}" for suffix in TABLES)
    raise DataError(f"image {image} has no label map: looked for {folder / stem} + {wanted}")
