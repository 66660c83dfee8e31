"""`load_split`: a split of a dataset as two memory-mapped arrays, whatever its layout on disk."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsrl_lib.data import camvid
from dsrl_lib.data.cache import build_cache, manifest_hash, open_cache
from dsrl_lib.data.frames import Frame
from dsrl_lib.paths import cache_dir, data_dir

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """A decoded split. Copies sent to another process open the files again, they carry no pixels."""

    names: list[str]
    sequences: list[str]
    images: np.memmap
    """uint8 (N, H, W, 3), RGB."""
    labels: np.memmap
    """uint8 (N, H, W), class ids 0..K-1, or 255 for void."""
    manifest_hash: str
    folder: Path

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple[Callable, tuple]:
        return _open, (self.names, self.sequences, self.manifest_hash, self.folder)


def load_split(dataset: str, split: str) -> Split:
    """Decode once, then open: the frames and label maps of `train`, `val` or `test`.

    ValueError for an unknown dataset or split, DataError for missing or bad data (it names the file).
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
    frames = _frames(dataset, split)
    listed = hashlib.sha256(str(frames[0].image.parent).encode()).hexdigest()[:8]
    digest = manifest_hash(frames, cache_dir() / "manifests" / f"{dataset}-{split}-{listed}.json")
    folder = cache_dir() / f"{dataset}-{split}-{digest[:12]}"
    build_cache(folder, frames)
    return _open([frame.name for frame in frames], [frame.sequence for frame in frames], digest, folder)


def _open(names: list[str], sequences: list[str], digest: str, folder: Path) -> Split:
    return Split(names, sequences, *open_cache(folder), digest, folder)


def _frames(dataset: str, split: str) -> list[Frame]:
    if dataset == "camvid":
        return camvid.frames(data_dir() / "camvid", split)
    raise ValueError(f"dataset {dataset!r}: choose one of streets, camvid, cityscapes")
