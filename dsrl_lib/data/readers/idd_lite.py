"""IDD-lite, the reduced India Driving Dataset: 7 classes, frames of 227 x 320 (height x width) from 370 drives.

Varma et al., "IDD: A Dataset for Exploring Problems of Autonomous Navigation in Unconstrained Environments", WACV 2019.
    idd20k_lite/leftImg8bit/<split>/<drive>/<frame>_image.jpg
    idd20k_lite/gtFine/<split>/<drive>/<frame>_label.png
or, prepared: <split>/images/<drive, 3 digits>_<frame>.jpg and <split>/labels/<drive, 3 digits>_<frame>.png.
"""

from pathlib import Path

from dsrl_lib.data.class_tables import IDD_LITE, VOID
from dsrl_lib.data.frames import DataError, Frame, label_table
from dsrl_lib.data.images import is_hidden, with_end
from dsrl_lib.data.readers.folders import paired
from dsrl_lib.paths import manifests_dir

TABLE = label_table({k: k for k in range(len(IDD_LITE.classes))} | {255: VOID})
ARCHIVE, IMAGE, LABEL = "idd20k_lite", "_image.jpg", "_label.png"


def frames(root: Path, split: str) -> list[Frame]:
    """The frames of a split, sorted by name. The sequence of a frame is its drive, and no drive is in two splits.

    The labels of the official test split are withheld. So `test` is the official val split, and `val` is 50 drives of
    the official train split, listed in data/manifests (data/README.md has the rule that chose them).
    DataError for a missing folder, an empty split, and an image without a label map.
    """
    if not (root / ARCHIVE).is_dir():
        where = (f"Get IDD-Lite from https://idd.insaan.iiit.ac.in/ (free registration; its terms allow research) and "
                 f"unpack it in {root}, or set DSRL_DATA to the folder that contains {root.name}/")  # fmt: skip
        return paired(root / split / "images", root / split / "labels", TABLE, where, sequence=_drive)
    official = root / ARCHIVE / "leftImg8bit" / ("val" if split == "test" else "train")
    paths = with_end((path for path in official.glob("[0-9]*/*") if not is_hidden(path.name)), IMAGE)
    if split != "test":
        held_out = val_drives()
        paths = [path for path in paths if (_number(path) in held_out) == (split == "val")]
    found = sorted((_published(root, official.name, path) for path in paths), key=lambda frame: frame.name)
    if not found:
        raise DataError(f"IDD-lite split {split!r} is empty: no <drive>/*{IMAGE} of it in {official}")
    return found


def val_drives() -> set[int]:
    """Numbers of the drives of the official train split that are `val`."""
    return {int(line) for line in (manifests_dir() / "idd_lite_val_drives.txt").read_text().split()}


def _drive(name: str) -> str:
    return name.partition("_")[0]


def _number(image: Path) -> int:
    """The drive of an image: the name of its folder. DataError if that is no number."""
    if not image.parent.name.isdecimal():
        raise DataError(f"{image.parent} is no drive; allowed: folders named by a number, such as 26")
    return int(image.parent.name)


def _published(root: Path, official: str, image: Path) -> Frame:
    stem = image.name.removesuffix(IMAGE)
    label = root / ARCHIVE / "gtFine" / official / image.parent.name / f"{stem}{LABEL}"
    if not label.is_file():
        raise DataError(f"image {image} has no label map: looked for {label}")
    drive = f"{_number(image):03}"
    return Frame(f"{drive}_{stem}", drive, image, label, TABLE)
