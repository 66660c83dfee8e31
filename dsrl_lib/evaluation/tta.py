"""Test-time augmentation: several inputs made of one image, and the mean of what the network says about them.

The inputs are the image at several scales, mirrored, and cut into overlapping windows.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.config import Config
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.forward import forward, network_input
from dsrl_lib.evaluation.given_locations import refuse_pictures
from dsrl_lib.models.sizes import resized

LEAST_PROBABILITY = 1e-12
"""Smallest probability whose logarithm is taken."""


def augmented_inputs(image: np.ndarray, config: Config, tta: TTA) -> list[Tensor]:
    """The inputs of an image, uint8 (H0, W0, 3): uint8 (3, h, w), one per scale."""
    return [network_input(image, config, scale) for scale in tta.scales]


def mean_output(
    model: nn.Module,
    inputs: Sequence[Tensor],
    config: Config,
    size: tuple[int, int],
    tta: TTA,
    locations: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """What the network says about the inputs of one image (`augmented_inputs`, on its device).

    Returns float32 (1, K, H, W) at `size`: the mean of the logits or of the probabilities (`tta.gives_logits`). Without
    augmentation it also returns the reconstruction of a network with a SISR branch, (1, 3, H', W') normalised; else
    None.

    locations: (1, n, m, 2), if the network is given them (`given_locations`). ValueError if they are missing, and for
    these with augmentation: they are those of the plain input.
    """
    if locations is None:
        refuse_pictures(config)
    if tta.none:
        out = forward(model, inputs[0], config, locations)
        return resized(out["logits"].float(), size), out.get("image")
    if locations is not None:
        raise ValueError(
            f"test-time augmentation with downsampling.locations = {config.downsampling.locations}, swapped = "
            f"{config.downsampling.swapped}: the locations are those of the plain input; allowed: the plain input"
        )
    total, passes = torch.zeros(()), 0
    for frame, mirrored in _with_flips(inputs, tta):
        logits = _sliding(model, frame, config, tta) if tta.mode == "sliding" else _whole(model, frame, config)
        logits = logits.flip(-1) if mirrored else logits
        total = total + _at_size(logits, size, tta)  # (1, K, H, W)
        passes += 1
    return total / passes, None


def log_probabilities(mean: Tensor, tta: TTA) -> Tensor:
    """Logarithm of the class probabilities of what `mean_output` gave: (1, K, H, W) -> (1, K, H, W)."""
    return mean.log_softmax(1) if tta.gives_logits else mean.clamp_min(LEAST_PROBABILITY).log()


@torch.inference_mode()
def image_output(
    model: nn.Module, image: np.ndarray, config: Config, tta: TTA, locations: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """`mean_output` of an image, uint8 (H, W, 3) RGB, at its own size. ValueError for numbers that are not finite."""
    device = next(model.parameters()).device
    inputs = [frame.to(device) for frame in augmented_inputs(image, config, tta)]
    mean, restored = mean_output(model, inputs, config, image.shape[:2], tta, locations)
    if not mean.isfinite().all():
        raise ValueError("the network gives no finite numbers for it")
    return mean, restored


def windows(length: int, window: int, overlap: float) -> list[int]:
    """Starts of the fewest windows that cover `length` with at least this overlap; the last one ends at the edge."""
    if window >= length:
        return [0]
    step = max(1, math.floor(window * (1 - overlap)))
    count = math.ceil((length - window) / step) + 1
    return [min(k * step, length - window) for k in range(count)]


def _with_flips(inputs: Sequence[Tensor], tta: TTA) -> Iterator[tuple[Tensor, bool]]:
    """Inputs, uint8 (3, h, w), and whether they are mirrored."""
    for frame in inputs:
        yield frame, False
        if tta.flip:
            yield frame.flip(-1), True


def _whole(model: nn.Module, frame: Tensor, config: Config) -> Tensor:
    return forward(model, frame, config)["logits"].float()  # (1, K, r h, r w), r is 1 or 2


def _sliding(model: nn.Module, frame: Tensor, config: Config, tta: TTA) -> Tensor:
    """Mean of the windows that see a pixel: logits, or the logarithm of their mean probability; (1, K, r h, r w)."""
    data, (height, width) = config.data, frame.shape[1:]
    window = [round(side * config.frame_scale) for side in (data.crop_height, data.crop_width)]
    window = [min(a, b) for a, b in zip(window, (height, width), strict=True)]
    total = seen = torch.zeros(())
    for top in windows(height, window[0], tta.overlap):
        for left in windows(width, window[1], tta.overlap):
            logits = _whole(model, frame[:, top : top + window[0], left : left + window[1]], config)
            r = logits.shape[2] // window[0]
            if total.ndim == 0:
                total = logits.new_zeros(1, logits.shape[1], r * height, r * width)
                seen = logits.new_zeros(r * height, r * width)
            place = np.s_[..., r * top : r * (top + window[0]), r * left : r * (left + window[1])]
            total[place] += logits.softmax(1) if tta.average == "probabilities" else logits
            seen[place] += 1
    mean = total / seen
    return mean.clamp_min(LEAST_PROBABILITY).log() if tta.average == "probabilities" else mean


def _at_size(logits: Tensor, size: tuple[int, int], tta: TTA) -> Tensor:
    """(1, K, h, w) -> (1, K, *size), as what is averaged."""
    if tta.mode == "pooling" and logits.shape[2] >= size[0] and logits.shape[3] >= size[1]:
        logits = F.adaptive_avg_pool2d(logits, size)
    else:
        logits = resized(logits.float(), size)
    return logits.softmax(1) if tta.average == "probabilities" else logits
