"""Segmentation accuracy from integer counts.

One data-set-level confusion: counts are summed over images first and divided once. A class that is absent
from both truth and prediction has no IoU (NaN), never 0.
"""

import numpy as np

VOID = 255


def counts(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """True positives, false positives and false negatives of one image, void pixels left out.

    prediction: (H, W) class ids in 0..K-1. label: (H, W) class ids in 0..K-1, or 255 for void.
    Returns int32 (K, 3). ValueError for two sizes, and for other class ids.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction {prediction.shape} and label {label.shape} differ in size")
    known = label != VOID
    truth = label[known].astype(np.int64)
    guess = prediction[known].astype(np.int64)
    for name, ids in (("prediction", guess), ("label", truth)):
        if ids.size and not 0 <= ids.min() <= ids.max() < classes:
            raise ValueError(f"{name} has class ids {ids.min()}..{ids.max()}; allowed: 0..{classes - 1}, 255 in labels")
    confusion = np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)  # (K, K)
    hit = np.diag(confusion)
    return np.stack([hit, confusion.sum(0) - hit, confusion.sum(1) - hit], axis=1).astype(np.int32)  # (K, 3)


def iou(totals: np.ndarray) -> np.ndarray:
    """Intersection over union, TP / (TP + FP + FN).

    totals: (..., K, 3), as `counts` gives them. Returns float64 (..., K); NaN where a class is absent from truth and
    prediction. ValueError for another shape, such as that of a confusion matrix.
    """
    if totals.ndim < 2 or totals.shape[-1] != 3:
        raise ValueError(f"totals {totals.shape}; allowed: (..., K, 3), TP, FP and FN of each class")
    union = totals.sum(-1).astype(np.float64)
    return np.divide(totals[..., 0], union, out=np.full(union.shape, np.nan), where=union > 0)


def miou(per_image: np.ndarray) -> float:
    """Mean IoU in [0, 1] of a whole split; NaN if no pixel is labelled. per_image: (images, K, 3) counts."""
    each = iou(per_image.sum(0, dtype=np.int64))  # (K,)
    return float("nan") if np.isnan(each).all() else float(np.nanmean(each))
