"""The affinity explorer: a piece of a page in which a click on a pixel shows its row of S in each branch.

It holds no matrix: a row of S = F^T F (paper, Eq. 2) is one product of the tokens F, which `explorer.js` computes.
"""

import base64
import copy
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table, colourise
from dsrl_lib.data.split import Split
from dsrl_lib.device import autocast
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.losses.criterion import token_grid
from dsrl_lib.models.dsrl import DSRL

LEVELS = 32767
"""Tokens are stored as 16-bit integers, in shares of the largest value of their map, and compressed."""


@dataclass(frozen=True)
class Tokens:
    """What one network makes of one frame, on the grid of FA's tokens, float32 (C, th, tw)."""

    seg: np.ndarray
    """The last map before the prediction layer."""
    ftm: np.ndarray | None
    """The same after the feature transform, which FA compares; None for a network that was trained without FA."""
    sr: np.ndarray
    """The last map before the SISR prediction."""


@dataclass(frozen=True)
class Explored:
    """One frame through several networks."""

    name: str
    image: np.ndarray
    """uint8 (H, W, 3), as are truth and predictions, in the colours of the classes."""
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]
    """By network, as `tokens`."""
    tokens: Mapping[str, Tokens]


@dataclass(frozen=True)
class Explorer:
    """Frames as a notebook shows them."""

    frames: Sequence[Explored]

    def __repr__(self) -> str:
        return f"affinity explorer: {', '.join(frame.name for frame in self.frames)}"

    def _repr_html_(self) -> str:
        return explorer_html(self.frames)


@torch.inference_mode()
def explored(networks: Mapping[str, tuple[DSRL, Config]], split: Split, index: int) -> Explored:
    """Frame `index` of a split through networks with a SISR branch, by name, on the CPU."""
    stored, truth = split.images[index], np.array(split.labels[index])
    predictions, tokens = {}, {}
    for name, (model, config) in networks.items():
        table = class_table(config.data.dataset)
        tokens[name], logits = fa_tokens(model, config, stored)
        predictions[name] = colourise(class_ids(logits, truth.shape), table)
    return Explored(split.names[index], stored, colourise(truth, table), predictions, tokens)


@torch.inference_mode()
def fa_tokens(model: DSRL, config: Config, image: np.ndarray) -> tuple[Tokens, Tensor]:
    """What FA compares of one image, uint8 (H0, W0, 3), in a network with a SISR branch, in eval mode on the CPU.

    Returns also the logits, (1, K, h, w).
    """
    frame = network_input(image, config)
    grid = token_grid((2 * frame.shape[1], 2 * frame.shape[2]), config.loss)
    out = forward(_with_taps(model), frame, config)
    with autocast(frame.device, config.optim.precision):
        after = model.ftm(out["seg_map"]) if model.ftm else None
    transformed = None if after is None else pooled(after, grid)
    return Tokens(pooled(out["seg_map"], grid), transformed, pooled(out["sr_map"], grid)), out["logits"]


def pooled(features: Tensor, grid: tuple[int, int]) -> np.ndarray:
    """(1, C, h, w) -> the tokens of FA, float32 (C, th, tw)."""
    return F.adaptive_avg_pool2d(features.float(), grid)[0].numpy()  # (C, th, tw)


def explorer_html(frames: Sequence[Explored]) -> str:
    """A piece of a page that shows the frames; it needs nothing from elsewhere, and several may be on one page."""
    data = json.dumps([_content(frame) for frame in frames], separators=(",", ":"))
    script, style = ((files("study.figures") / f"explorer.{kind}").read_text() for kind in ("js", "css"))
    return (
        f'<div class="affinity-explorer"><style>{style}</style><p class="without-script">The affinity explorer needs '
        f"JavaScript: open this notebook in JupyterLab, or its page of the site. Pictures of such maps: "
        f"44_what_decides, <em>What FA changes in the affinity maps</em>, and 02_method.</p>"
        f'<script type="application/json">{data}</script><script>{script}</script></div>'
    )


def _with_taps(model: DSRL) -> DSRL:
    """The same weights, giving the maps that FA compares, before the feature transform."""
    tapped = copy.copy(model)
    tapped._modules = {**model._modules, "ftm": None}
    tapped.fa, tapped.fa_placement = True, "features"
    return tapped


def _content(frame: Explored) -> dict[str, object]:
    networks = [
        {"name": name, "prediction": _picture(frame.predictions[name], "PNG")}
        | {kind: _packed(values) for kind, values in vars(tokens).items() if values is not None}
        for name, tokens in frame.tokens.items()
    ]
    return {"name": frame.name, "image": _picture(frame.image, "JPEG"), "truth": _picture(frame.truth, "PNG"),
            "networks": networks}  # fmt: skip


def _packed(values: np.ndarray) -> dict[str, object]:
    scale = float(np.abs(values).max()) or 1.0
    integers = np.round(values / scale * LEVELS).astype("<i2")
    return {"shape": values.shape, "scale": scale / LEVELS, "data": _text(zlib.compress(integers.tobytes(), 9))}


def _picture(pixels: np.ndarray, kind: str) -> str:
    """An address that holds the picture."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if kind == "PNG":  # few colours
        image = image.quantize(64)
    image.save(buffer, kind, optimize=True)
    return f"data:image/{kind.lower()};base64,{_text(buffer.getvalue())}"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
