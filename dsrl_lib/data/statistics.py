"""Colours of a data set, as normalisation needs them, and the pixels of its classes, as class weights do."""

import numpy as np

from dsrl_lib.data.once import array_once, in_threads
from dsrl_lib.data.split import Split
from dsrl_lib.paths import cache_dir
from dsrl_lib.progress import bar


def colour_statistics(split: Split, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of red, green and blue in [0, 1] over all pixels of a split, float64 (3,) each.

    The sums are exact: they are of whole numbers.
    """
    pixels, total, squares = 0, np.zeros(3, np.int64), np.zeros(3, np.int64)
    values = np.arange(256, dtype=np.int64)
    for index in bar(range(len(split)), desc="measure", unit=" images", disable=not progress):
        image = split.images[index]  # (H, W, 3)
        for channel in range(3):
            counts = np.bincount(image[..., channel].ravel(), minlength=256)  # (256,)
            total[channel] += counts @ values
            squares[channel] += counts @ values**2
        pixels += image.shape[0] * image.shape[1]
    mean = total / pixels
    return mean / 255, np.sqrt(squares / pixels - mean**2) / 255


def class_pixels(split: Split) -> np.ndarray:
    """The number of pixels of each class id over the label maps of a split, int64 (256,), void included.

    Kept in the cache, named by the hash of the split's files.
    """

    def count() -> np.ndarray:
        counts = in_threads(
            lambda i: np.bincount(split.labels[i].ravel(), minlength=256), len(split), "count pixels of classes"
        )
        return sum(counts, np.zeros(256, np.int64))

    return array_once(cache_dir() / "class_pixels" / f"{split.manifest_hash[:16]}-v1.npy", count)
