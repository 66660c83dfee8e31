"""`load_split`: a split of a dataset as two memory-mapped arrays, whatever its layout on disk."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from dsrl_lib.data import camvid, cityscapes
from dsrl_lib.data.cache import build_cache, manifest_hash, open_cache
from dsrl_lib.data.download import download_camvid
from dsrl_lib.data.frames import Frame
from dsrl_lib.labels import class_table
from dsrl_lib.paths import cache_dir, data_dir

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """A decoded split. A copy sent to another process opens the files again, it carries no pixels."""

    names: list[str]
    sequences: list[str]
    """The video sequence of each frame: frames of one sequence are not independent."""
    images: np.memmap
    """uint8 (N, H, W, 3), RGB."""
    labels: np.memmap
    """uint8 (N, H, W), class ids 0..K-1, or 255 for void."""
    manifest_hash: str
    """SHA-256 of names, file contents and label tables, equal on every machine."""
    folder: Path

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple[Callable, tuple]:
        return _open, (self.names, self.sequences, self.manifest_hash, self.folder)


def load_split(dataset: str, split: str) -> Split:
    """The frames and label maps of `train`, `val` or `test`: decoded at the first call, then opened.

    `streets` is drawn where it is missing; `camvid` is downloaded where it is missing and DSRL_DATA is unset.
    ValueError for an unknown dataset or split, DataError for missing or bad data (it names the file).
    """
    class_table(dataset)  # names the choices where the dataset is unknown
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
    if dataset == "cityscapes" and split == "test":
        split = "val"  # the official test labels are withheld
    frames = list_frames(dataset, split)
    listed = hashlib.sha256(str(frames[0].image.parent).encode()).hexdigest()[:8]
    digest = manifest_hash(frames, cache_dir() / "manifests" / f"{dataset}-{split}-{listed}.json")
    folder = cache_dir() / f"{dataset}-{split}-{digest[:12]}"
    build_cache(folder, frames)
    return _open([frame.name for frame in frames], [frame.sequence for frame in frames], digest, folder)


def list_frames(dataset: str, split: str) -> list[Frame]:
    """The files of a split, not yet read."""
    if dataset == "camvid":
        root = data_dir() / "camvid"
        if not root.exists() and not os.environ.get("DSRL_DATA"):
            download_camvid(root)
        return camvid.frames(root, split)
    root = streets_root() if dataset == "streets" else data_dir() / "cityscapes"
    return cityscapes.frames(root, split)


def streets_root() -> Path:
    """The folder of `streets`, drawn where it is missing. A change of a pixel comes with a new VERSION."""
    from dsrl_lib.data import streets  # lazy: only this dataset needs it

    root = cache_dir() / f"streets-v{streets.VERSION}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):  # a second process waits instead of drawing the same scenes
        return streets.write(root)


def _open(names: list[str], sequences: list[str], digest: str, folder: Path) -> Split:
    return Split(names, sequences, *open_cache(folder), digest, folder)
