"""Weights of the classes by their shares of the pixels: of a training split, of an image, or of a batch."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.allowed import at_least, check
from dsrl_lib.losses.allowed_sets import or_over_window
from dsrl_lib.metrics import VOID


def frequency_weights(pixels: np.ndarray) -> Tensor:
    """(K,) weights of the classes, 1 / ln(1.02 + share of the pixels) (ENet, Paszke et al. 2016, Sec. 5.2).

    pixels: how many of the training labels each class has, int64 (K,). ValueError if none has any: all are void.
    """
    if not pixels.any():
        raise ValueError("all pixels of the training labels are void: there are no shares of classes to weight by")
    return torch.from_numpy(1 / np.log(1.02 + pixels / pixels.sum())).float()


def check_bounded(upper_bound: float, weights_over: str) -> None:
    """ValueError for options that `bounded_weights` does not take."""
    check("upper_bound", upper_bound, Annotated[float, at_least(0)])
    check("weights_over", weights_over, Literal["image", "batch"])


def bounded_weights(
    sets: Tensor,
    labels: Tensor,
    classes: int,
    *,
    upper_bound: float,
    border: int = 0,
    strict: Sequence[int] = (),
    weights_over: str = "image",
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
) -> Tensor:
    """Mean of omega_c = 1 + b (1 - f_c) over the classes c of each pixel's set, 0 if it is empty: float (B, H, W).

    f_c is the share of class c in the sets of the image, or of the batch, of which void is one class more (Zhu et al.,
    released code). b: upper_bound; with 0 the result is bool, whether the set holds a class. sets: those of
    `allowed_sets` for the labels (B, H, W), with this border and these strict classes. gather: joins the rows of all
    processes that share the batch.
    """
    if upper_bound == 0:
        return sets != 0
    members = [(sets >> c & 1).bool() for c in range(classes)]
    planes = torch.stack([member.sum((1, 2)) for member in (*members, _void(labels, border, strict))], 1)  # (B, K + 1)
    if weights_over == "batch":
        planes = gather(planes).sum(0, keepdim=True).expand(len(sets), -1)
    counts = planes[:, :-1]  # (B, K)
    omega = bounded(counts, planes.sum(1, keepdim=True), upper_bound)
    total, size = torch.zeros(sets.shape, device=sets.device), torch.zeros_like(sets)
    for member, weight in zip(members, omega.T, strict=True):
        total += member * weight[:, None, None]
        size += member
    return total / size.clamp_min(1)


def bounded(counts: Tensor, total: Tensor, upper_bound: float) -> Tensor:
    """omega = 1 + b (1 - f), f = counts / total, and 1 for a class without any: float (B, K).

    counts: (B, K), total: (B, 1), integers. b: upper_bound.
    """
    return torch.where(counts > 0, 1 + upper_bound * (1 - counts / total), 1)


def _void(labels: Tensor, border: int, strict: Sequence[int]) -> Tensor:
    """Whether a pixel's set would hold void, which everything outside the image is: bool (B, H, W)."""
    height, width = labels.shape[1:]
    border = min(border, max(height, width))  # a wider window sees no more, and would fill the memory
    void = or_over_window(F.pad(labels == VOID, [border] * 4, value=True), border)
    void = void[:, border : border + height, border : border + width]
    kept = torch.as_tensor(strict, dtype=labels.dtype).to(labels.device, non_blocking=True)
    return void & ~torch.isin(labels, kept)
