"""What interpolation alone restores of the HR image: a SISR branch that is no better has learned no detail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.config import Config, Downsampling
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.once import once
from dsrl_lib.data.split import Split
from dsrl_lib.evaluation.details import reconstruction_quality
from dsrl_lib.evaluation.forward import network_input
from dsrl_lib.paths import cache_dir
from dsrl_lib.records import read_json, write_json

METHODS = ("nearest", "bilinear", "bicubic")
"""Nearest repeats each pixel."""


def upsample(x: Tensor, method: str) -> Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), one of METHODS, with align_corners=False."""
    align = {} if method == "nearest" else {"align_corners": False}
    return F.interpolate(x, scale_factor=2, mode=method, **align)


def interpolation_quality(split: Split, config: Config) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM by method over a split, as `psnr_bicubic` and so on.

    The image that is compared is that of the SISR branch, and so is the input. For a network that samples the frame, it
    is the frame reduced evenly to as many pixels. Found once for each split and size of the input, then read from the
    cache.
    """
    path, even = _path(split, config), replace(config, downsampling=Downsampling())
    kinds = {f"{name}_{method}": float | None for name in ("psnr", "ssim") for method in METHODS}

    def measure() -> dict[str, float]:
        found = [_qualities(image, even) for image in split.images]
        columns = {name: [quality[name] for quality in found if not np.isnan(quality[name])] for name in kinds}
        return {name: float(np.mean(values)) if values else float("nan") for name, values in columns.items()}

    return once(path, lambda: read_json(path, kinds), measure, lambda means: write_json(path, means))


def _qualities(image: np.ndarray, config: Config) -> dict[str, float]:
    x = normalise(network_input(image, config)[None])  # (1, 3, h, w)
    found = {method: reconstruction_quality(upsample(x, method), image) for method in METHODS}
    return {f"{name}_{method}": found[method][i] for i, name in enumerate(("psnr", "ssim")) for method in METHODS}


def _path(split: Split, config: Config) -> Path:
    size = f"{config.data.height}x{config.data.width}-{config.model.input_scale:g}"
    return cache_dir() / "interpolation" / f"{config.data.dataset}-{split.manifest_hash[:12]}-{size}.json"
