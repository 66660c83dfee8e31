"""A trained network on images of any size: whole or in sliding windows, at several scales, with flips.

Sizes follow the training: an image is brought to the HR height of the run (its aspect kept), reduced to the input as
in training, and the scores are brought back to the image's own size before the arg-max.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.config import Config
from dsrl_lib.data.transforms import evaluation_input
from dsrl_lib.evaluation.evaluate import forward
from dsrl_lib.evaluation.view import View


@torch.inference_mode()
def scores(model: nn.Module, image: np.ndarray, config: Config, view: View | None = None) -> Tensor:
    """Class scores of an image at its own size, averaged over what `view` asks for.

    image: uint8 (H, W, 3), RGB. Returns float32 (K, H, W): probabilities, or logits where those are averaged.
    """
    view = view or View()
    size, total, looks = image.shape[:2], torch.zeros(()), 0
    for frame, mirrored in _looks(image, config, view):
        logits = _sliding(model, frame, config, view) if view.mode == "sliding" else _whole(model, frame, config)
        logits = logits.flip(-1) if mirrored else logits
        total = total + _to_size(logits, size, view)  # (1, K, H, W)
        looks += 1
    return total[0] / looks


def hr_size(image: tuple[int, int], config: Config, scale: float = 1.0) -> tuple[int, int]:
    """Height and width to which an image (H, W) is brought: the HR height of the run times `scale`, its aspect kept."""
    height = max(1, round(config.data.height * scale))
    return height, max(1, round(image[1] / image[0] * config.data.height * scale))


def windows(length: int, window: int, overlap: float) -> list[int]:
    """Starts of the fewest windows that cover `length` with at least this overlap; the last one ends at the edge."""
    if window >= length:
        return [0]
    step = max(1, math.floor(window * (1 - overlap)))
    count = math.ceil((length - window) / step) + 1
    return [min(k * step, length - window) for k in range(count)]


def _looks(image: np.ndarray, config: Config, view: View) -> Iterator[tuple[Tensor, bool]]:
    """Inputs, uint8 (3, h, w), and whether they are mirrored."""
    for scale in view.scales:
        frame = evaluation_input(image, *hr_size(image.shape[:2], config, scale), config.model.input_scale)
        yield frame, False
        if view.flip:
            yield frame.flip(-1), True


def _whole(model: nn.Module, frame: Tensor, config: Config) -> Tensor:
    device = next(model.parameters()).device
    return forward(model, frame.to(device), config)["logits"].float().cpu()  # (1, K, r h, r w), r is 1 or 2


def _sliding(model: nn.Module, frame: Tensor, config: Config, view: View) -> Tensor:
    """Mean of the windows that see a pixel: logits, or the logarithm of their mean probability."""
    data, (height, width) = config.data, frame.shape[1:]
    window = [round(side * config.model.input_scale) for side in (data.crop_height, data.crop_width)]
    window = [min(a, b) for a, b in zip(window, (height, width), strict=True)]
    total = seen = torch.zeros(())
    for top in windows(height, window[0], view.overlap):
        for left in windows(width, window[1], view.overlap):
            logits = _whole(model, frame[:, top : top + window[0], left : left + window[1]], config)
            r = logits.shape[2] // window[0]
            if total.ndim == 0:
                total = torch.zeros(1, logits.shape[1], r * height, r * width)
                seen = torch.zeros(r * height, r * width)
            place = np.s_[..., r * top : r * (top + window[0]), r * left : r * (left + window[1])]
            total[place] += logits.softmax(1) if view.average == "probabilities" else logits
            seen[place] += 1
    mean = total / seen
    return mean.clamp_min(1e-12).log() if view.average == "probabilities" else mean


def _to_size(logits: Tensor, size: tuple[int, int], view: View) -> Tensor:
    """(1, K, h, w) -> (1, K, *size), as what is averaged."""
    if view.mode == "pooling" and logits.shape[2] >= size[0] and logits.shape[3] >= size[1]:
        logits = F.adaptive_avg_pool2d(logits, size)
    elif tuple(logits.shape[2:]) != size:
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    return logits.softmax(1) if view.average == "probabilities" else logits
