"""Cross entropy whose class weights are those of each image: how Zhu et al. (CVPR 2019) train on Mapillary.

The bounded weights of label relaxation without its sets, and so for any number of classes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dsrl_lib.losses.class_weights import bounded, check_bounded
from dsrl_lib.losses.segmentation import check_shapes, cross_entropy
from dsrl_lib.metrics import VOID


def image_weighted_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    upper_bound: float = 1.0,
    weights_over: str = "image",
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
) -> Tensor:
    """Mean over the images of the batch of their weighted cross entropies, a float32 scalar (released code).

    That of an image is the sum over its labelled pixels of omega_y times the cross entropy, over the sum of omega_y;
    omega_c = 1 + b (1 - f_c), f_c the share of class c in the labelled pixels of the image. Images without a labelled
    pixel do not count; if there are no others the loss is 0, with a graph.

    logits: (B, K, h, w) of any float type and any K, resized bilinearly (align_corners=False) to the size of the labels
    if it differs. labels: (B, H, W), 0..K-1 or 255 for void. upper_bound: b, 0 or more. weights_over: "image", or
    "batch" for the shares f_c in the whole batch. gather: joins the rows of all processes that share the batch, for
    "batch". Raises ValueError for other shapes and settings, IndexError (on the CPU) for other labels.
    """
    # DEVIATION: cross entropy with class weights by image is a mean over the images, and an image of void alone does
    # not count. The released code (Zhu et al.) adds the images up, so that the loss grows with the batch, and gives NaN
    # for such an image.
    check_shapes(logits, labels)
    check_bounded(upper_bound, weights_over)
    counts = torch.stack([(labels == c).sum((1, 2)) for c in range(logits.shape[1])], 1)  # (B, K)
    if weights_over == "batch":
        counts = gather(counts).sum(0, keepdim=True).expand(len(labels), -1)
    weights = bounded(counts, counts.sum(1, keepdim=True), upper_bound)  # (B, K)
    images = zip(logits.split(1), labels.split(1), weights, strict=True)
    each = [cross_entropy(z, label, class_weights=omega) for z, label, omega in images]
    return torch.stack(each).sum() / labelled_images(labels).clamp_min(1)


def labelled_images(labels: Tensor) -> Tensor:
    """What `image_weighted_cross_entropy` divides by: the number of images with a labelled pixel."""
    return (labels != VOID).any(2).any(1).sum()
