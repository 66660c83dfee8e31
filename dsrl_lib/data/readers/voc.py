"""Pascal VOC 2012 and, with it, the Semantic Boundaries Dataset (SBD), listed by torchvision's own readers.

Everingham et al., IJCV 2015; Hariharan et al., ICCV 2011.
    voc/VOCdevkit/VOC2012/{ImageSets/Segmentation,JPEGImages,SegmentationClass}
    sbd/{img,cls,train.txt,val.txt}, the folder benchmark_RELEASE/dataset of its archive
"""

from pathlib import Path
from typing import Any

from dsrl_lib.data.class_tables import VOC, VOID
from dsrl_lib.data.frames import DataError, Frame, label_table

TABLE = label_table({k: k for k in range(len(VOC.classes))} | {VOID: VOID})
VOC_SOURCE = "VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
SBD_SOURCE = "benchmark.tgz from http://home.bharathh.info/pubs/codes/SBD/download.html (its benchmark_RELEASE/dataset)"


def frames(root: Path, split: str) -> list[Frame]:
    """The 1464 frames of `train` or the 1449 of `val`, in the order of their lists.

    DataError for missing folders, lists and files.
    """
    return _checked(_voc(root, split))


def frames_with_sbd(root: Path, split: str) -> list[Frame]:
    """As `frames`; `train` has also those of both lists of SBD that are not in VOC's `val`: 10582 frames.

    SBD lies beside `root`. A frame that has labels in both takes those of VOC.
    """
    found = _voc(root, split)
    if split == "train":
        from torchvision.datasets import SBDataset  # lazy: only this data set needs it

        known = {frame.name for frame in found + _voc(root, "val")}
        for part in ("train", "val"):
            more = _listed(SBDataset, root.parent / "sbd", SBD_SOURCE, image_set=part, mode="segmentation")
            found += [frame for frame in more if frame.name not in known]
    return _checked(found)


def _voc(root: Path, split: str) -> list[Frame]:
    from torchvision.datasets import VOCSegmentation  # lazy: only these data sets need it

    return _listed(VOCSegmentation, root, VOC_SOURCE, year="2012", image_set=split)


def _checked(found: list[Frame]) -> list[Frame]:
    for path in (path for frame in found for path in (frame.image, frame.label)):
        if not path.is_file():
            raise DataError(f"{path} is missing, but the list of its split names it: unpack the whole archive again")
    return found


def _listed(reader: Any, root: Path, source: str, **choice: str) -> list[Frame]:
    try:
        listed = reader(root, **choice)
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(f"the data set is not complete: looked for the list {choice['image_set']}.txt in {root} "
                        f"({error}). Get {source} and unpack it in {root}, or set DSRL_DATA to the folder that "
                        f"contains {root.name}/ (layout in data/README.md)") from error  # fmt: skip
    pairs = [(Path(image), Path(label)) for image, label in zip(listed.images, listed.masks, strict=True)]
    return [Frame(image.stem, image.stem, image, label, TABLE) for image, label in pairs]
