"""Mean and standard deviation of the colours of a data set, as normalisation needs them."""

import numpy as np

from dsrl_lib.data.split import Split
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
