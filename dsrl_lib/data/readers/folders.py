"""A folder of images beside a folder of label maps of the same names: KITTI, Mapillary Vistas, your own data sets."""

import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from dsrl_lib.data.class_lists import mapillary_classes, own_classes
from dsrl_lib.data.frames import DataError, Frame, label_table
from dsrl_lib.data.images import OTHERS, SUFFIXES, by_stem, folders, is_hidden
from dsrl_lib.data.readers.cityscapes import ID_TABLE
from dsrl_lib.data.sequences import own_sequences

KITTI_FOLD = 10
"""Every tenth frame of KITTI is validated on."""


def own_frames(root: Path, split: str) -> list[Frame]:
    """<split>/images and <split>/labels, with ids by classes.txt of `root`.

    Sequences by sequences.txt, or by the names (`data.sequences`).
    """
    hint = f"A data set of your own has {root.name}/{{train,val}}/{{images,labels}} and perhaps {root.name}/test"
    table = label_table(own_classes(root.name).ids)
    return paired(root / split / "images", root / split / "labels", table, hint, own_sequences(root))


def kitti_frames(root: Path, split: str, fold: int) -> list[Frame]:
    """KITTI semantics (Abu Alhaija et al., IJCV 2018): 200 frames with Cityscapes label ids, four sizes.

    The official test labels are withheld, so frame k of the sorted names is in `val` of a fold where k mod 10 = fold.
    """
    # DEVIATION: every tenth frame of KITTI is validated on; label relaxation (Zhu et al.) has three random lists of 21.
    hint = _hint("data_semantics.zip from https://www.cvlibs.net/datasets/kitti/eval_semseg.php", root)
    found = paired(root / "training" / "image_2", root / "training" / "semantic", ID_TABLE, hint)
    return [frame for k, frame in enumerate(found) if (k % KITTI_FOLD == fold) == (split == "val")]


def mapillary_frames(root: Path, split: str) -> list[Frame]:
    """Mapillary Vistas 1.2 (Neuhold et al., ICCV 2017); class ids by its config.json."""
    hint = _hint("version 1.2 from https://www.mapillary.com/dataset/vistas (free registration)", root)
    folder = root / {"train": "training", "val": "validation"}[split]
    return paired(folder / "images", folder / "labels", label_table(mapillary_classes().ids), hint)


def _hint(what: str, root: Path) -> str:
    return f"Get {what} and unpack it in {root}, or set DSRL_DATA to the folder that contains {root.name}/"


def paired(
    images: Path, labels: Path, table: bytes, hint: str, sequence: Callable[[str], str] = lambda name: name
) -> list[Frame]:
    """Every image with the PNG label map of its name, sorted by name. DataError for what is missing, with the hint.

    sequence: from the name of a frame to that of its video sequence; by default each frame is one.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise DataError(f"the data set is not complete: looked for {folder}. {hint}")
    shown, maps_shown = _shown(images), _shown(labels)
    paths = [path for path in shown if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise DataError(f"there are no images in {images}: looked for {', '.join(SUFFIXES)}. {hint}")
    maps = by_stem([path for path in maps_shown if path.suffix.lower() == ".png"], "are label maps of one image")
    _refuse_left_out(images, shown, labels, {path.stem for path in paths}, maps)
    by_stem(paths, "share one label map")
    files = {path for path, is_file in (shown | maps_shown).items() if is_file}
    return [
        _pair(path, maps.get(path.stem, labels / f"{path.stem}.png"), table, sequence(path.stem), files)
        for path in paths
    ]


def _shown(folder: Path) -> dict[Path, bool]:
    """What lies in a folder, without what is hidden, by name; and whether it is a file, links aside.

    The list of a folder says so: asking for each of many files takes long on a network disk.
    """
    with os.scandir(folder) as entries:
        shown = ((folder / entry.name, entry.is_file(follow_symlinks=False)) for entry in entries)
        return dict(sorted((path, is_file) for path, is_file in shown if not is_hidden(path.name)))


def _refuse_left_out(
    images: Path, shown: Mapping[Path, bool], labels: Path, stems: Collection[str], maps: Mapping[str, Path]
) -> None:
    """DataError for an image that would be left out without a word: in a folder of its own, or of another kind.

    shown: what lies in `images`. maps: label maps by the names of their images. Those without an image are named on
    stderr.
    """
    alone = sorted(path.name for stem, path in maps.items() if stem not in stems)
    for path, is_file in shown.items():
        if not is_file and path.is_dir():
            within = (Path(file) for _, files in folders(path) for file in files if not is_hidden(file))
            if any(file.suffix.lower() in SUFFIXES + OTHERS for file in within):
                raise DataError(f"{path} holds images that would not be read: put all of them into {images}")
        elif path.stem not in stems and (path.stem in maps or path.suffix.lower() in OTHERS):
            raise DataError(f"cannot read image {path}; allowed: files that end in {', '.join(SUFFIXES)}")
    if alone:
        print(
            f"warning: {len(alone)} label maps in {labels} have no image in {images}, such as {alone[0]}",
            file=sys.stderr,
        )


def _pair(image: Path, label: Path, table: bytes, sequence: str, files: Collection[Path]) -> Frame:
    """files: those that are known to be files."""
    if not (label in files or label.is_file()):
        raise DataError(f"image {image} has no label map: looked for {label}")
    if not (image in files or image.is_file()):  # a link that leads nowhere, or a pipe, which would be read for ever
        raise DataError(f"cannot read image {image}: it is not a file")
    return Frame(image.stem, sequence, image, label, table)
