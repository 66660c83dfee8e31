"""The supervised loss terms: cross entropy of the class map, and mean squared error of the image."""

import math
from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from dsrl_lib.allowed import Range, at_least, between, check
from dsrl_lib.metrics import VOID

TINY = 1e-12
"""Stands for 1 - p where that is 0 in float32."""


def cross_entropy(logits: Tensor, labels: Tensor, *, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the pixels whose label is not void (255), a float32 scalar.

    logits: (B, K, h, w) of any float type, resized bilinearly (align_corners=False) to the size of the labels
    where it differs. labels: (B, H, W), integers in 0..K-1 or 255. class_weights: (K,), finite, 0 or more, makes it the
    mean weighted by each label's weight. Where every pixel is void the loss is 0, with a graph, not NaN.

    Raises ValueError for other shapes and types, IndexError (on the CPU) for other labels.
    """
    check_shapes(logits, labels)
    if class_weights is not None:
        _check_weights(class_weights, logits.shape[1])
    with torch.autocast(logits.device.type, enabled=False):
        weights = None if class_weights is None else class_weights.to(logits.device, torch.float32)
        sum_of = _BySample.apply if logits.is_cpu and torch.is_grad_enabled() else _cross_entropy
        total, divisor = sum_of(logits, labels, weights), mass(labels, weights)
        return total / torch.where(divisor > 0, divisor, 1)


def _check_weights(weights: Tensor, classes: int) -> None:
    if weights.shape != (classes,):
        raise ValueError(f"class_weights {tuple(weights.shape)}; allowed: one per class, ({classes},)")
    if weights.is_cpu and not (weights.isfinite() & (weights >= 0)).all():  # a look at a GPU would wait for it
        raise ValueError(f"class_weights {weights.tolist()}; allowed: finite numbers, 0 or more")


def mass(labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """What `cross_entropy` divides by: the number of pixels that are not void, or the sum of their weights."""
    valid = labels != VOID  # (B, H, W)
    if class_weights is None:
        return valid.sum()
    return (class_weights.to(labels.device)[labels.long().clamp_max(len(class_weights) - 1)] * valid).sum()


def focal(logits: Tensor, labels: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Mean of (1 - p)^gamma times the cross entropy, p the probability of the label (Lin et al., 2017, Eq. 4).

    Shapes, void and errors as in `cross_entropy`, which is this with gamma = 0; ValueError for a gamma below it.
    """
    check("gamma", gamma, Annotated[float, at_least(0)])
    loss = _by_pixel(logits, labels)  # (B, H, W), 0 at void
    wrong = (1 - torch.exp(-loss)).clamp_min(TINY)  # a root has no slope at 0
    weighted = wrong**gamma * loss
    return weighted.sum() / (labels != VOID).sum().clamp_min(1)


def hard_examples(
    logits: Tensor,
    labels: Tensor,
    *,
    threshold: float = 0.9,
    kept: float = 1 / 16,
    gather: Callable[[Tensor], Tensor] = lambda values: values,
) -> Tensor:
    """Cross entropy over the hard pixels of the batch alone: online hard example mining, as DDRNet is trained.

    Hard is a label of probability below `threshold`; at least the share `kept` of the labelled pixels counts, the
    hardest first. Shapes, void and errors as in `cross_entropy`; ValueError too for a threshold or share beyond 1.
    gather: joins vectors of all processes that share the batch, of different lengths. The hard pixels are then those of
    the whole batch, and the result is the part of this process in their mean.
    """
    check("threshold", threshold, Annotated[float, Range(0, "above 0, at most 1", 1, without_low=True)])
    check("kept", kept, Annotated[float, between(0, 1)])
    loss = _by_pixel(logits, labels)[labels != VOID]  # (P,)
    pixels = int(gather(torch.tensor([loss.numel()])).sum())
    if pixels == 0:
        return logits.sum() * 0
    least = max(1, int(kept * pixels))
    hardest = gather(torch.topk(loss.detach(), min(least, loss.numel())).values)
    limit = min(-math.log(threshold), torch.topk(hardest, least).values[-1].item())
    hard = loss[~(loss < limit)]  # with what is not a number, so that training stops there
    counts = gather(torch.tensor([hard.numel()]))  # (processes,)
    mean = hard.mean() if hard.numel() else logits.sum() * 0
    return mean * (hard.numel() * len(counts) / int(counts.sum()))


def _by_pixel(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of every pixel, float32 (B, H, W); 0 at void."""
    check_shapes(logits, labels)
    with torch.autocast(logits.device.type, enabled=False):
        return _cross_entropy(logits, labels, reduction="none")


def _cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None, reduction: str = "sum") -> Tensor:
    """At the size of the labels and in float32: the sum over all pixels, or without reduction (B, H, W)."""
    # Reordering from channels_last before the cast moves half the bytes; log_softmax is fast on planes alone.
    logits = logits.contiguous().float()
    if logits.shape[2:] != labels.shape[1:]:
        logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
    try:
        return F.cross_entropy(logits, labels.long(), weights, ignore_index=VOID, reduction=reduction)
    except IndexError:  # on the CPU alone: it says neither the class nor what is allowed
        raise IndexError(unknown_labels(labels, logits.shape[1])) from None


def unknown_labels(labels: Tensor, classes: int) -> str:
    """Says which labels (B, H, W) are no classes."""
    unknown = [k for k in labels.unique().tolist() if k != VOID and not 0 <= k < classes]
    shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
    return f"labels hold {shown}; allowed: 0 to {classes - 1}, and {VOID} for void"


def check_shapes(logits: Tensor, labels: Tensor) -> None:
    """ValueError unless they are (B, K, h, w) and integers (B, H, W)."""
    if labels.is_floating_point():  # a map that was resized like an image holds classes that are none
        raise ValueError(f"labels are {str(labels.dtype).removeprefix('torch.')}; allowed: integers")
    if logits.dim() != 4 or labels.dim() != 3 or logits.shape[0] != labels.shape[0]:
        shapes = f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)}"
        raise ValueError(f"logits must be (B, K, h, w) and labels (B, H, W); got {shapes}")


class _BySample(torch.autograd.Function):
    """`_cross_entropy` with its gradient, a sample at a time: the full-size maps of one stay in a CPU's cache."""

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        gradient, total = torch.empty_like(logits, dtype=torch.float32), torch.zeros((), dtype=torch.float64)
        for i in range(len(logits)):
            with torch.enable_grad():
                sample = logits[i : i + 1].detach().contiguous().float().requires_grad_()
                value = _cross_entropy(sample, labels[i : i + 1], weights)
            gradient[i : i + 1] = torch.autograd.grad(value, sample)[0]
            total += value.detach()
        ctx.save_for_backward(gradient)
        ctx.dtype = logits.dtype
        return total.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        gradient = ctx.saved_tensors[0]
        if ctx.dtype == gradient.dtype:
            return grad * gradient, None, None
        scaled = torch.empty_like(gradient, dtype=ctx.dtype)
        for sample, out in zip(gradient, scaled, strict=True):
            out.copy_(grad * sample)
        return scaled, None, None


def image_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of two images, a float32 scalar in the square of their unit. ValueError for two shapes."""
    if prediction.shape != target.shape:
        shapes = f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        raise ValueError(f"image_mse: the shapes differ: {shapes}")
    return F.mse_loss(prediction.float(), target.float())
