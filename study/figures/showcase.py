"""What a trained run makes of single frames: plain arrays for the pictures in the notebooks.

Weights of runs are not in git unless they are released: without them there is nothing to show, which is no error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib import metrics, runs
from dsrl_lib.allowed import between, check
from dsrl_lib.config import Config
from dsrl_lib.data.normalise import denormalise, normalise
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.data.transforms import frame_size, resize_image
from dsrl_lib.deploy.pretrained import open_weights, weights_of
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.evaluation.interpolation import upsample
from dsrl_lib.losses.criterion import token_grid
from dsrl_lib.models.dsrl import DSRL
from study.counts import read_counts


@dataclass(frozen=True)
class Example:
    """One frame and what the network made of it. (h, w) is the input, (H, W) is HR, (H0, W0) as stored."""

    name: str
    image: np.ndarray
    """uint8 (h, w, 3): the input of the network."""
    truth: np.ndarray
    """uint8 (H0, W0): class ids, 255 is void."""
    prediction: np.ndarray
    """uint8 (H0, W0): class ids."""
    target: np.ndarray
    """uint8 (H, W, 3): the HR image."""
    reconstruction: np.ndarray | None
    """uint8 (H, W, 3), or None without a SISR head."""
    bicubic: np.ndarray | None
    """uint8 (H, W, 3): bicubic upsampling of the input, at the size of the reconstruction; None without one."""
    affinity: dict[str, np.ndarray]
    """By branch, float32 (th, tw): affinity of every FA token to the reference token; empty without FA."""
    recorded: bool
    """Whether the prediction has the counts that the run recorded for this frame; weights that were trained again on
    another processor need not."""


def settings(config: Config) -> str:
    """A configuration as text, one paragraph per section: what differs from the defaults."""
    lines, defaults = [f"run_id: {config.run_id}"], Config().to_dict()
    for name, value in config.to_dict().items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} = {v}" for k, v in value.items() if v != defaults[name][k])
            changed = bool(value)
        else:
            changed = value != defaults[name]
        if changed:
            lines.append(fill(f"{name}: {value}", 100, subsequent_indent="    "))
    return "\n".join([*lines, "All other settings are at their defaults (dsrl_lib/settings.py)."])


def trained_run(config: Config) -> Path | None:
    """The run directory of a configuration if its weights are there, or released."""
    directory = runs.folder(config)
    return directory if directory.is_dir() and weights_of(config) else None


@torch.inference_mode()
def examples(
    directory: Path, split: str, at: Sequence[float], pixel: tuple[float, float] = (0.5, 0.5)
) -> list[Example]:
    """Frames of `split` at these fractions of its length, through the network of a run, on the CPU.

    pixel: (y, x) as fractions of height and width, the reference of the affinity maps. Returns [] if the weights of the
    run are neither there nor released.
    """
    recorded = runs.read_config(directory)
    weights = weights_of(recorded)
    if weights is None:
        return []
    model, config = open_weights(weights)
    loaded = load_split(config.data.dataset, split)
    counts = read_counts(directory, split, recorded.data.dataset).counts  # (I, K, 3)
    indices = [round(part * (len(loaded) - 1)) for part in at]
    return [example(model.eval(), config, loaded, index, pixel, counts[index]) for index in indices]


@torch.inference_mode()
def example(
    model: DSRL,
    config: Config,
    split: Split,
    index: int,
    pixel: tuple[float, float] = (0.5, 0.5),
    counts: np.ndarray | None = None,
) -> Example:
    """Frame `index` of a split through a network in eval mode, on the CPU.

    pixel: as for `examples`. counts: (K, 3), those that the run recorded for this frame.
    """
    stored, truth = split.images[index], np.array(split.labels[index])
    height, width = frame_size(stored.shape[:2], config.data)
    image = network_input(stored, config)
    out = forward(model, image, config)
    made = _pixels(255 * denormalise(out["image"])[0]) if "image" in out else None
    bicubic = None if made is None else _pixels(255 * denormalise(upsample(normalise(image[None]), "bicubic"))[0])
    tokens = token_grid((height, width), config.loss)
    maps = {"SSSR branch": "seg_map", "SISR branch": "sr_map"}
    affinity = {
        name: affinity_to(out[key], pixel, tokens, config.loss.fa_normalise) for name, key in maps.items() if key in out
    }
    target = _pixels(resize_image(stored, height, width))
    prediction = class_ids(out["logits"], truth.shape)
    recorded = counts is not None and np.array_equal(metrics.counts(prediction, truth, len(counts)), counts)
    return Example(split.names[index], _pixels(image), truth, prediction, target, made, bicubic, affinity, recorded)


def affinity_to(features: Tensor, pixel: tuple[float, float], tokens: tuple[int, int], normalise: bool) -> np.ndarray:
    """One row of S = F^T F (paper, Eq. 2): the affinity of every token to the one at `pixel`.

    features: (1, C, h, w). pixel: (y, x) as fractions. tokens: (th, tw), the grid they are averaged to.
    normalise: cosines instead of inner products. Returns float32 (th, tw). ValueError for fractions beyond 0 to 1.
    """
    for part in pixel:
        check("pixel", part, Annotated[float, between(0, 1)])
    pooled = F.adaptive_avg_pool2d(features.float(), tokens)[0]  # (C, th, tw)
    if normalise:
        pooled = F.normalize(pooled, dim=0)
    row, column = (min(int(part * side), side - 1) for part, side in zip(pixel, tokens, strict=True))
    return torch.einsum("c,chw->hw", pooled[:, row, column], pooled).numpy()


def _pixels(image: Tensor) -> np.ndarray:
    """(3, H, W) in 0..255 -> uint8 (H, W, 3)."""
    return image.float().round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
