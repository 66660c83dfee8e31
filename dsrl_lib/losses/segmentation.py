"""The supervised loss terms: cross entropy of the class map, and mean squared error of the image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dsrl_lib.labels import VOID


def cross_entropy(logits: Tensor, labels: Tensor, *, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the pixels whose label is not void (255), a float32 scalar.

    logits: (B, K, h, w) of any float type, resized bilinearly (align_corners=False) to the size of the labels
    where it differs. labels: (B, H, W), integers in 0..K-1 or 255. class_weights: (K,), makes it the mean weighted
    by each label's weight. Where every pixel is void the loss is 0, with a graph, not NaN.

    Raises ValueError for other shapes, IndexError (on the CPU) for other labels.
    """
    if logits.dim() != 4 or labels.dim() != 3 or logits.shape[0] != labels.shape[0]:
        shapes = f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)}"
        raise ValueError(f"cross_entropy: logits must be (B, K, h, w) and labels (B, H, W); got {shapes}")
    with torch.autocast(logits.device.type, enabled=False):
        # Reordering from channels_last before the cast moves half the bytes; log_softmax is fast on planes alone.
        logits = logits.contiguous().float()
        if logits.shape[2:] != labels.shape[1:]:
            logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
        weights = None if class_weights is None else class_weights.to(logits)
        total = F.cross_entropy(logits, labels.long(), weights, ignore_index=VOID, reduction="sum")
        valid = labels != VOID  # (B, H, W)
        if weights is None:
            return total / valid.sum().clamp_min(1)
        mass = (weights[labels.long().clamp_max(len(weights) - 1)] * valid).sum()
        return total / torch.where(mass > 0, mass, 1)


def image_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of two images of one shape, a float32 scalar in the square of their unit."""
    if prediction.shape != target.shape:
        shapes = f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        raise ValueError(f"image_mse: the shapes differ: {shapes}")
    return F.mse_loss(prediction.float(), target.float())
