"""Integer counts of a run by test image, as they are on the disk: every score is computed from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsrl_lib.data.class_tables import class_table

SPLITS = ("val", "test")
"""`test` is what is reported; for Cityscapes it is the official val split, whose labels are public."""


class DamagedRunError(ValueError):
    """A file of a complete run cannot be read, or contradicts another; the message names it."""


@dataclass(frozen=True)
class Counts:
    """Integer counts of one split at the original label size. I images, K classes."""

    images: tuple[str, ...]
    sequences: tuple[str, ...]
    counts: np.ndarray
    """int (I, K, 3): true positives, false positives, false negatives."""
    trimap: np.ndarray
    """int (I, bands, K, 3): the same within trimap_px pixels of a class boundary."""
    trimap_px: np.ndarray
    """(bands,)"""
    object_recall: np.ndarray
    """int (K, size bins, 2): pixels of objects found, and pixels in all."""

    @property
    def rings(self) -> np.ndarray:
        """int (I, bands + 1, K, 3): counts of each band without the nearer ones; last, of all other pixels."""
        wider = np.concatenate([self.trimap, self.counts[:, None]], axis=1)  # (I, bands + 1, K, 3)
        return np.diff(wider, axis=1, prepend=0)


def read_counts(folder: Path, split: str, dataset: str) -> Counts:
    """Those of "val" or "test" in the directory of a run on a data set. DamagedRunError names a bad file."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r}; allowed: {', '.join(SPLITS)}")
    path, classes = folder / f"counts_{split}.npz", len(class_table(dataset).classes)
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in Counts.__dataclass_fields__}
    except Exception as error:  # a damaged archive ends in errors of many kinds
        raise DamagedRunError(f"{path} cannot be read: {error!r}") from None
    images, bands, bins = arrays["images"].size, arrays["trimap_px"].size, arrays["object_recall"].shape[1:2]
    expected = {
        "images": ("U", (images,)),
        "sequences": ("U", (images,)),
        "trimap_px": ("iu", (bands,)),
        "counts": ("iu", (images, classes, 3)),
        "trimap": ("iu", (images, bands, classes, 3)),
        "object_recall": ("iu", (classes, *bins, 2)),
    }
    for name, (kinds, shape) in expected.items():
        array = arrays[name]
        if array.dtype.kind not in kinds or array.shape != shape:
            what = "texts" if kinds == "U" else "integers"
            raise DamagedRunError(f"{path}: {name} is {array.dtype} {array.shape}, expected {what} {shape}")
        if kinds == "iu" and array.min(initial=0) < 0:
            raise DamagedRunError(f"{path}: {name} has numbers below 0")
    names = {name: tuple(arrays[name].tolist()) for name in ("images", "sequences")}
    return Counts(**arrays | names)
