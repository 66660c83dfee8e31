"""`load_split`: the images and label maps of a split of a dataset, whatever its layout on disk."""

import hashlib
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsrl_lib.data import lazy
from dsrl_lib.data.cache import build_cache, manifest_hash, open_cache
from dsrl_lib.data.class_tables import VOID, class_table
from dsrl_lib.data.frames import Arrays, DataError, Frame, image_size
from dsrl_lib.own_data import dataset as entry_of
from dsrl_lib.own_data import has_test
from dsrl_lib.paths import CLASSES, cache_dir, data_dir
from dsrl_lib.registry import DATASETS, named

SPLITS = ("train", "val", "test")
LARGEST_CACHE = 64e9
"""Bytes of decoded frames. A split that would take more is read from its files, as frames of many sizes are."""


@dataclass(frozen=True)
class Split:
    """A split, decoded or read as it is asked for. A copy sent to another process opens the files again."""

    names: list[str]
    sequences: list[str]
    """The video sequence of each frame: frames of one sequence are not independent."""
    images: Arrays
    """uint8 (H, W, 3) by index, RGB; one array (N, H, W, 3) where the frames are decoded in the cache."""
    labels: Arrays
    """uint8 (H, W) by index, class ids 0..K-1, or 255 for void; one array (N, H, W) as above."""
    manifest_hash: str
    """SHA-256 of names, file contents and label tables, equal on every machine."""
    folder: Path | None
    """Of the cache; None where frames are read as they are asked for."""

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple[Callable, tuple]:
        if self.folder is None:
            return Split, (self.names, self.sequences, self.images, self.labels, self.manifest_hash, None)
        return _open, (self.names, self.sequences, self.manifest_hash, self.folder)


def load_split(dataset: str, split: str) -> Split:
    """The frames and label maps of `train`, `val` or `test`: decoded at the first call, then opened.

    Frames of many sizes, or of a split above LARGEST_CACHE, are decoded each time they are read; the first call checks
    them all, names on stderr a class that no label of `train` holds, and refuses labels that are all void (DataError).
    `test` is `val` for a data set without test labels (`has_test`). `streets` is drawn if it is missing; `camvid` is
    downloaded if it is missing and DSRL_DATA is not set. ValueError for an unknown dataset or split, DataError for
    missing or bad data (it names the file).
    """
    class_table(dataset)  # names the choices where the dataset is unknown
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
    if split == "test" and not has_test(dataset):
        split = "val"
    frames = list_frames(dataset, split)
    if not frames:
        raise DataError(f"{dataset} {split} is empty: too few files in {data_dir()} for its rule (see data/README.md)")
    name, count = Counter(frame.name for frame in frames).most_common(1)[0]
    if count > 1:
        raise DataError(f"{frames[0].image.parent}: frame {name} stands {count} times in the list of {dataset} {split}")
    for frame in frames:
        if not _is_text(str(frame.image)):
            raise DataError(f"the name of the file {str(frame.image)!r} is no text in UTF-8: rename it")
    listed = hashlib.sha256(str(frames[0].image.parent).encode()).hexdigest()[:8]
    digest = manifest_hash(frames, cache_dir() / "manifests" / f"{dataset}-{split}-{listed}.json")
    names, sequences = [frame.name for frame in frames], [frame.sequence for frame in frames]
    if not entry_of(dataset).one_size or 4 * len(frames) * math.prod(image_size(frames[0].image)) > LARGEST_CACHE:
        found = lazy.check(frames, cache_dir() / "checked" / f"{dataset}-{split}-{digest[:12]}.json")
        _require_labels(dataset, split, found)
        return Split(names, sequences, lazy.Images(frames), lazy.Labels(frames), digest, None)
    folder = cache_dir() / f"{dataset}-{split}-{digest[:12]}"
    build_cache(folder, frames)
    decoded = _open(names, sequences, digest, folder)
    if all((label == VOID).all() for label in decoded.labels):  # it ends at the first frame with labels
        _require_labels(dataset, split, ())
    return decoded


def list_frames(dataset: str, split: str) -> list[Frame]:
    """The files of a split, not yet read, as the data set's entry in the registry says."""
    entry = entry_of(dataset)
    own, folder = data_dir() / dataset, data_dir() / (entry.folder or dataset)
    taken = f"{dataset} is the name of another one: give that folder another name"
    if folder != own and (own / CLASSES).exists():
        raise DataError(f"{own} is your own data set, but {taken}")
    if entry.download and not folder.exists() and not os.environ.get("DSRL_DATA"):
        named(entry.download)(folder)
    try:
        return named(entry.reader)(folder, split, *entry.arguments)
    except DataError as error:
        if dataset in DATASETS and (own / CLASSES).exists():
            raise DataError(f"{error}. If {own} is your own data set: {taken}") from None
        raise


def _require_labels(dataset: str, split: str, found: Sequence[int]) -> None:
    """found: the class ids in the labels. Masks of 0 and 255 for two classes are a common mistake: 255 is void."""
    classes = class_table(dataset).classes
    if not found:
        raise DataError(f"no pixel of {dataset} {split} is labelled with one of {', '.join(classes)}: all are void")
    if split == "train" and (missing := [name for k, name in enumerate(classes) if k not in found]):
        print(f"warning: no label of {dataset} train holds {', '.join(missing)}; a pixel stored as {VOID} is void, "
              "and belongs to no class", file=sys.stderr)  # fmt: skip


def _is_text(name: str) -> bool:
    """Whether the bytes of a file's name are UTF-8; others become lone surrogates, which no record can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _open(names: list[str], sequences: list[str], digest: str, folder: Path) -> Split:
    return Split(names, sequences, *open_cache(folder), digest, folder)
