"""The objective of a run: L = CE + w1 * MSE + w2 * FA with the targets and weights of its arm."""

import numpy as np
import torch
from torch import Tensor, nn

from dsrl_lib import distributed
from dsrl_lib.config import Config
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import reduce_labels
from dsrl_lib.device import autocast
from dsrl_lib.losses.feature_affinity import feature_affinity
from dsrl_lib.losses.segmentation import cross_entropy, focal, hard_examples, image_mse, mass

AUX_WEIGHT = 0.4
"""Weight of a host's auxiliary head (DDRNet, Hong et al. 2021, Sec. 4)."""


def loss_terms(
    model: nn.Module, batch: dict[str, Tensor], config: Config, weights: Tensor | None = None
) -> dict[str, Tensor]:
    """The weighted terms of L = CE + w1 * MSE + w2 * FA for one batch; their sum is the loss.

    batch: uint8 `input` (B, 3, h, w), `hr` (B, 3, H, W), `labels` (B, H, W), and `noise` (B, 3, H, W) where the
    SISR target is noise.
    """
    with autocast(batch["input"].device, config.optim.precision):
        out = model(normalise(batch["input"]).contiguous(memory_format=torch.channels_last))
    labels = batch["labels"]
    if config.loss.train_labels == "lr":
        labels = reduce_labels(labels, tuple(batch["input"].shape[2:]))
    terms = {"ce": segmentation_loss(out["logits"], labels, config, weights)}
    if "aux" in out:
        terms["aux"] = AUX_WEIGHT * segmentation_loss(out["aux"], labels, config, weights)
    if "image" in out:
        target = batch["noise"] if "noise" in batch else normalise(batch["hr"])
        terms["mse"] = config.loss.w1 * image_mse(out["image"], target)
    if "seg_map" in out:
        tokens = tuple(max(1, side // config.loss.fa_stride) for side in batch["hr"].shape[2:])
        affinity = feature_affinity(
            out["seg_map"], out["sr_map"], normalise=config.loss.fa_normalise, q=config.loss.fa_q, tokens=tokens
        )
        terms["fa"] = config.loss.w2 * affinity
    return terms


def segmentation_loss(logits: Tensor, labels: Tensor, config: Config, weights: Tensor | None) -> Tensor:
    """The first term of the loss: cross entropy unless `loss.segmentation` says otherwise.

    In several processes, the part of this one in the mean over the pixels of the whole batch.
    """
    kind = config.loss.segmentation
    if kind != "ce" and weights is not None:
        raise ValueError(f"loss.segmentation = {kind} takes no class weights; allowed: loss.class_weights = none")
    if kind == "ohem":
        return hard_examples(logits, labels)  # each process picks the hard pixels of its own samples
    loss = cross_entropy(logits, labels, class_weights=weights) if kind == "ce" else focal(logits, labels)
    return loss if distributed.size() == 1 else loss * distributed.weight(mass(labels, weights))


def class_weights(config: Config, split: Split, classes: int) -> Tensor | None:
    """1 / ln(1.02 + share of the class's pixels in the training split) (ENet, Paszke et al. 2016), or None."""
    if config.loss.class_weights == "none":
        return None
    pixels = sum(np.bincount(label.ravel(), minlength=256)[:classes] for label in split.labels)
    return torch.from_numpy(1 / np.log(1.02 + pixels / pixels.sum())).float()


def noise_image(index: int, shape: tuple[int, ...]) -> Tensor:
    """The fixed noise image of one sample, unit variance, whatever the seed of the run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(index))  # (3, H, W)
