"""The supervised loss terms: cross entropy of the class map, and mean squared error of the image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dsrl_lib.labels import VOID


def cross_entropy(logits: Tensor, labels: Tensor, *, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the pixels whose label is not void (255), a float32 scalar.

    logits (B, K, h, w) of any float type, resized bilinearly (align_corners=False) where their size is not that of the
    labels (B, H, W), integers in 0..K-1 or 255. class_weights (K,): the mean is then weighted by the label's weight.
    Where every pixel is void the loss is 0 and still has a graph. Raises ValueError for other shapes.
    """
    if logits.dim() != 4 or labels.dim() != 3 or logits.shape[0] != labels.shape[0]:
        raise ValueError(
            f"cross_entropy: logits must be (B, K, h, w) and labels (B, H, W), "
            f"got {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        if logits.shape[2:] != labels.shape[1:]:
            logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
        if class_weights is not None:
            class_weights = class_weights.to(logits)
        if not (labels != VOID).any():
            return logits.sum() * 0
        return F.cross_entropy(logits, labels.long(), class_weights, ignore_index=VOID)


def image_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of two images of one shape, a float32 scalar in the square of their unit."""
    if prediction.shape != target.shape:
        raise ValueError(f"image_mse: the shapes differ, got {tuple(prediction.shape)} and {tuple(target.shape)}")
    return F.mse_loss(prediction.float(), target.float())
