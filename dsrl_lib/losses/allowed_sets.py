"""The classes that are right at each pixel, as bits of an integer: the sets N_i of label relaxation (Zhu et al., 2019).

A window then costs a few ORs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dsrl_lib.losses.segmentation import unknown_labels
from dsrl_lib.metrics import VOID

MOST_CLASSES = 63
"""One bit per class of an int64."""


def allowed_sets(
    labels: Tensor, classes: int, *, border: int = 1, strict: Sequence[int] = (), void_joins: bool = True
) -> Tensor:
    """N_i as bits: bit c of element i is set if class c is allowed at pixel i; 0 is the empty set.

    labels: (B, H, W), 0..classes-1 or 255. Returns (B, H, W), int32 for at most 31 classes, int64 for at most 63.
    Void and what lies outside the image add no class. Options and errors as in `relaxed_cross_entropy`.
    """
    if not 1 <= classes <= MOST_CLASSES:
        raise ValueError(f"classes = {classes}: label relaxation allows 1 to {MOST_CLASSES}")
    if isinstance(border, bool) or not isinstance(border, int) or border < 0:
        raise ValueError(f"border = {border!r}: allowed are the integers 0, 1, 2, ...")
    for c in strict:
        if c not in range(classes):
            raise ValueError(f"strict = {tuple(strict)}: allowed are the classes 0 to {classes - 1}")
    known = ((labels == VOID) | (labels >= 0) & (labels < classes)).all()
    if not labels.is_cpu:  # a look would wait for the device, which stops by itself, as in PyTorch's cross entropy
        torch._assert_async(known, f"labels hold others than the allowed: 0 to {classes - 1}, and {VOID} for void")
    elif not known:
        raise IndexError(unknown_labels(labels, classes))
    own = _bits(labels, classes)
    sets = or_over_window(own, border)
    if not void_joins:
        sets.masked_fill_(labels == VOID, 0)
    for c in strict:
        sets = torch.where(labels == c, own, sets)
    return sets


def several(sets: Tensor) -> Tensor:
    """Whether a set holds two classes or more: bool, of the shape of `sets`."""
    return sets & (sets - 1) != 0


def or_over_window(bits: Tensor, border: int) -> Tensor:
    """OR over the window of 2 border + 1 pixels on a side, which ends at the image: (B, H, W), bits or bool."""
    for dim in (1, 2):
        source, bits = bits, bits.clone()
        for shift in range(1, min(border, bits.shape[dim] - 1) + 1):
            rest = bits.shape[dim] - shift
            bits.narrow(dim, shift, rest).bitwise_or_(source.narrow(dim, 0, rest))
            bits.narrow(dim, 0, rest).bitwise_or_(source.narrow(dim, shift, rest))
    return bits


def _bits(labels: Tensor, classes: int) -> Tensor:
    """1 << label, and 0 at void: int32 or int64 (B, H, W)."""
    dtype = torch.int32 if classes <= 31 else torch.int64
    bits = torch.ones_like(labels, dtype=dtype) << labels.to(dtype).clamp_max(classes - 1)
    return bits.masked_fill_(labels == VOID, 0)
