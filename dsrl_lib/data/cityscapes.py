"""Cityscapes in the official layout; also the layout that `streets` is written in.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
    leftImg8bit/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png (or _labelTrainIds.png)
"""

from pathlib import Path

from dsrl_lib.data.frames import DataError, Frame, label_table
from dsrl_lib.labels import CITYSCAPES, CITYSCAPES_TRAIN_ID, VOID

IMAGE = "_leftImg8bit.png"
# Official ids first: train ids are derived from them. 255 is how the id -1 (licence plate) is stored.
TABLES = {
    "_gtFine_labelIds.png": label_table({**CITYSCAPES_TRAIN_ID, 255: VOID}),
    "_gtFine_labelTrainIds.png": label_table({k: k for k in range(len(CITYSCAPES.classes))} | {255: VOID}),
}


def frames(root: Path, split: str) -> list[Frame]:
    """The frames of a split folder, sorted by city and name.

    DataError for a missing folder, an empty split, and an image without a label map.
    """
    images = root / "leftImg8bit" / split
    for folder, package in (
        (images, "leftImg8bit_trainvaltest.zip"),
        (root / "gtFine" / split, "gtFine_trainvaltest.zip"),
    ):
        if not folder.is_dir():
            raise DataError(
                f"Cityscapes is not complete: looked for {folder}. Get {package} from "
                f"https://www.cityscapes-dataset.com/downloads/ (free registration) and unpack it in {root}, "
                f"or set DSRL_DATA to the folder that contains {root.name}/"
            )
    paths = sorted(images.glob(f"*/*{IMAGE}"))
    if not paths:
        raise DataError(f"Cityscapes split {split!r} is empty: no <city>/*{IMAGE} in {images}")
    return [_frame(root, split, path) for path in paths]


def _frame(root: Path, split: str, image: Path) -> Frame:
    city, stem = image.parent.name, image.name.removesuffix(IMAGE)
    folder = root / "gtFine" / split / city
    for suffix, table in TABLES.items():
        if (label := folder / f"{stem}{suffix}").is_file():
            return Frame(stem, stem.rsplit("_", 1)[0], image, label, table)
    raise DataError(f"image {image} has no label map: looked for {folder / stem} + {' or '.join(TABLES)}")
