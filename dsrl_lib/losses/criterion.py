"""The criterion of a run: L = CE + w1 * MSE + w2 * FA (paper, Eq. 4), from what the network gave and its targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from dsrl_lib import distributed
from dsrl_lib.allowed import did_you_mean
from dsrl_lib.config import Loss
from dsrl_lib.losses.allowed_sets import MOST_CLASSES
from dsrl_lib.losses.feature_affinity import feature_affinity
from dsrl_lib.losses.feature_affinity_released import RELEASED
from dsrl_lib.losses.image_weights import image_weighted_cross_entropy, labelled_images
from dsrl_lib.losses.label_relaxation import (
    boundary_weighted_cross_entropy,
    cross_entropy_over_sets,
    relaxed_cross_entropy,
    relaxed_mass,
)
from dsrl_lib.losses.location_loss import location_loss
from dsrl_lib.losses.relaxation_controls import void_borders
from dsrl_lib.losses.segmentation import cross_entropy, focal, hard_examples, image_mse, mass
from dsrl_lib.losses.terms import TERMS

OUTPUTS = ("logits", "aux", "image", "seg_map", "sr_map", "locations")
"""Names of what `models.DSRL` gives."""


@dataclass(frozen=True)
class Targets:
    """What the outputs for a batch are compared with."""

    labels: Tensor
    """(B, H, W) class ids, 255 for void; at LR if the arm trains on LR labels."""
    image: Tensor | None = None
    """(B, 3, H, W) at HR, in normalised units: what the SISR branch reconstructs."""
    class_weights: Tensor | None = None
    """(K,), of the cross entropy."""
    sets: Tensor | None = None
    """(B, H, W), the classes that are right at each pixel (`allowed_sets`), if loss.relax_control moves the borders."""
    locations: Tensor | None = None
    """(B, n, m, 2): what the auxiliary network of adaptive downsampling predicts."""


def criterion(outputs: Mapping[str, Tensor], targets: Targets, loss: Loss) -> dict[str, Tensor]:
    """The weighted terms for one batch, by their keys in `TERMS`; their sum is the loss.

    With gradients on, all processes of torch's process group have to call this together, each with its part of the
    batch: the terms are the part of this process in those of the whole batch, and the processes wait for each other.
    With gradients off, it is the loss of this process alone.
    outputs: those of `models.DSRL`: `logits` (B, K, h, w), and `aux`, `image`, `seg_map` and `sr_map` if the network
    has these parts; or `locations` alone. With `image` or `locations`, the targets need these too. ValueError if they
    are missing, and for outputs of other names, of which no term would be made.
    """
    if unknown := [name for name in outputs if name not in OUTPUTS]:
        near = did_you_mean(unknown[0], OUTPUTS)
        raise ValueError(f"outputs hold {unknown[0]!r}; allowed: {', '.join(OUTPUTS)}{near}")
    values = {}
    if "logits" in outputs:
        values["ce"] = segmentation_loss(outputs["logits"], targets, loss)
    if "aux" in outputs:
        values["aux"] = segmentation_loss(outputs["aux"], targets, loss)
    if "image" in outputs:
        values["mse"] = image_mse(outputs["image"], _target(targets, "image"))
    if "seg_map" in outputs:
        size = tuple(_target(targets, "image").shape[2:])
        values["fa"] = affinity_loss(outputs["seg_map"], outputs["sr_map"], size, loss)
    if "locations" in outputs:
        values["locations"] = location_loss(outputs["locations"], _target(targets, "locations"))
    return {key: TERMS[key].weight_in(loss) * value for key, value in values.items()}


def _target(targets: Targets, name: Literal["image", "locations"]) -> Tensor:
    """What the output `name` is compared with. ValueError if it is not given."""
    if (target := getattr(targets, name)) is None:
        raise ValueError(f"the network gives {name!r}: Targets need the {name} that it is compared with")
    return target


def affinity_loss(seg_map: Tensor, sr_map: Tensor, size: tuple[int, int], loss: Loss) -> Tensor:
    """FA of two maps without its weight: the paper's, or what `loss.fa_form` asks for.

    seg_map: (B, Ca, h, w). sr_map: (B, Cb, h', w'); the released forms need two maps of one shape (ValueError).
    size: HR height and width of the crop.
    """
    if loss.fa_form != "paper":
        value = RELEASED[loss.fa_form](seg_map, sr_map, pool=loss.fa_stride)
        return value * _processes() if loss.fa_form == "dootmaan" else value  # that one sums over the batch
    tokens = token_grid(size, loss)
    return feature_affinity(seg_map, sr_map, normalise=loss.fa_normalise, q=loss.fa_q, tokens=tokens)


def token_grid(size: tuple[int, int], loss: Loss) -> tuple[int, int]:
    """Rows and columns of the tokens of FA, for a crop or frame of HR height and width `size`."""
    height, width = (max(1, side // loss.fa_stride) for side in size)
    return height, width


def _processes() -> int:
    """How many share the batch; one where gradients are off, since the others may not validate at the same time."""
    return distributed.size() if torch.is_grad_enabled() else 1


def _join(values: Tensor) -> Tensor:
    return values if _processes() == 1 else distributed.join(values)


def segmentation_loss(logits: Tensor, targets: Targets, loss: Loss) -> Tensor:
    """The first term of the loss, without its weight: cross entropy, or what `loss.segmentation` asks for.

    In several processes, the part of this one in the mean over the pixels of the whole batch, or over its images.
    """
    kind, labels, weights = loss.segmentation, targets.labels, targets.class_weights
    if kind != "ce" and (weights is not None or loss.class_weights != "none"):
        raise ValueError(f"loss.segmentation = {kind} takes no class weights; allowed: loss.class_weights = none")
    if loss.class_weights in ("image", "batch"):
        return image_weights(logits, targets, loss)
    if kind == "ohem":
        return hard_examples(logits, labels, gather=_join)
    if kind == "relaxed":
        return label_relaxation(logits, targets, loss)
    if kind == "boundary":
        value = boundary_weighted_cross_entropy(logits, labels, **_relaxation_weights(loss))
    else:
        value = cross_entropy(logits, labels, class_weights=weights) if kind == "ce" else focal(logits, labels)
    return value if _processes() == 1 else value * distributed.weight(mass(labels, weights))


def image_weights(logits: Tensor, targets: Targets, loss: Loss) -> Tensor:
    """Cross entropy with the class weights of each image, or of the batch. Processes as above."""
    if targets.class_weights is not None:
        raise ValueError(f"loss.class_weights = {loss.class_weights} is computed from the labels; allowed: Targets "
                         "without class_weights")  # fmt: skip
    value = image_weighted_cross_entropy(
        logits, targets.labels, upper_bound=loss.class_bound, weights_over=loss.class_weights, gather=_join
    )
    return value if _processes() == 1 else value * distributed.weight(labelled_images(targets.labels))


def label_relaxation(logits: Tensor, targets: Targets, loss: Loss) -> Tensor:
    """`relaxed_cross_entropy` or one of its controls, as the settings loss.relax_* say. Processes as above."""
    how: dict[str, Any] = {"border": loss.relax_border, "void_joins": loss.relax_void_joins}
    strict = strict_classes(loss, logits.shape[1])
    sets, labels = targets.sets, targets.labels
    if loss.relax_control == "moved" and sets is None:
        raise ValueError("loss.relax_control = 'moved': Targets need the sets of the moved borders")
    if loss.relax_control == "void":
        sets = void_borders(labels, logits.shape[1], **how, strict=strict)
    if loss.relax_control == "none":
        value = relaxed_cross_entropy(logits, labels, **how, strict=strict, **_relaxation_weights(loss))
    else:
        value = cross_entropy_over_sets(logits, labels, sets)
    if _processes() == 1:
        return value
    return value * distributed.weight(relaxed_mass(labels, **how) if sets is None else (sets != 0).sum())


def _relaxation_weights(loss: Loss) -> dict[str, Any]:
    return {
        "upper_bound": loss.relax_upper_bound, "weights_over": loss.relax_weights_over, "gather": _join,
    }  # fmt: skip


def strict_classes(loss: Loss, classes: int) -> tuple[int, ...]:
    """loss.relax_strict as numbers. ValueError if the loss cannot be used with so many classes."""
    if loss.segmentation in ("relaxed", "boundary") and classes > MOST_CLASSES:
        raise ValueError(f"loss.segmentation = {loss.segmentation!r}; allowed: other losses with {classes} classes, "
                         f"or a data set of at most {MOST_CLASSES}")  # fmt: skip
    strict = tuple(map(int, loss.relax_strict.split()))
    if strict and strict[-1] >= classes:
        raise ValueError(f"loss.relax_strict = {loss.relax_strict!r}; allowed: numbers from 0 to {classes - 1}")
    return strict
