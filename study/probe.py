"""What the maps of a trained encoder still hold of the image: a linear map from each of them to the HR pixels.

The encoder is frozen. For each map, ridge regression finds the HR pixels under a cell from the 3 x 3 cells around it,
on the training split; the table has what that restores on val, beside interpolation of the input. A SISR head sees no
more than such cells and a few around them. A deeper decoder can read more than a linear one, so this is a bound for
linear decoders alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.config import Config
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.data.transforms import frame_size, resize_image
from dsrl_lib.deploy.pretrained import open_weights, weights_of
from dsrl_lib.evaluation.details import reconstruction_quality
from dsrl_lib.evaluation.forward import network_input
from dsrl_lib.evaluation.interpolation import METHODS, upsample
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import check_folder, results_dir
from dsrl_lib.records import write_atomically
from study.presets import preset
from study.report.taps import FILE

REACH = 3
"""Cells in a row and in a column that the map of one cell sees."""
RIDGE = 1e-3
"""Penalty on the squared coefficients of standardised features, as a share of their variance."""
FRAMES = {"train": 60, "val": 30}
"""Of each split, evenly spread."""
SHARED = "strides 4 and 16, as the SISR head"


class Regression:
    """Ridge regression with an intercept, from sums over batches in float64: it holds no batch."""

    def __init__(self) -> None:
        self.number = 0
        self.sums: tuple[Tensor, ...] = ()

    def add(self, x: Tensor, y: Tensor) -> None:
        """x: (N, P). y: (N, Q)."""
        x, y = x.double(), y.double()
        found = (x.sum(0), y.sum(0), x.T @ x, x.T @ y)
        self.sums = tuple(a + b for a, b in zip(self.sums, found, strict=True)) if self.sums else found
        self.number += len(x)

    def solve(self, ridge: float = RIDGE) -> tuple[Tensor, Tensor]:
        """Coefficients (P, Q) and intercept (Q,), float32. Features that do not vary have coefficients of zero."""
        x, y, xx, xy = (total / self.number for total in self.sums)
        covariance, cross = xx - torch.outer(x, x), xy - torch.outer(x, y)
        variance = covariance.diagonal()
        varies = variance > 1e-9 * xx.diagonal().clamp(min=1e-12)
        scale = torch.where(varies, variance.clamp(min=1e-300).rsqrt(), 0.0)  # (P,)
        standard = covariance * torch.outer(scale, scale)
        standard.diagonal().add_(ridge + (~varies).double())
        coefficients = scale[:, None] * torch.linalg.solve(standard, scale[:, None] * cross)
        return coefficients.float(), (y - x @ coefficients).float()


def neighbourhoods(features: Tensor, reach: int = REACH) -> Tensor:
    """The cells around each cell, with the border repeated: (1, C, h, w) -> (h w, C reach^2)."""
    around = (reach // 2,) * 4
    return F.unfold(F.pad(features.float(), around, mode="replicate"), reach)[0].T


def blocks(image: Tensor, cells: tuple[int, int], side: int) -> Tensor:
    """The pixels under each cell, with the border repeated: (1, 3, H, W) -> (h w, 3 side^2)."""
    down, right = (side * number - there for number, there in zip(cells, image.shape[2:], strict=True))
    padded = F.pad(image, (0, right, 0, down), mode="replicate")
    return F.pixel_unshuffle(padded, side)[0].flatten(1).T


def joined(pixels: Tensor, cells: tuple[int, int], side: int, size: tuple[int, int]) -> Tensor:
    """The inverse of `blocks`: (h w, 3 side^2) -> (1, 3, H, W)."""
    image = F.pixel_shuffle(pixels.T.reshape(1, -1, *cells), side)
    return image[..., : size[0], : size[1]]


@torch.inference_mode()
def taps(model: DSRL, x: Tensor) -> dict[str, tuple[int, Tensor, Tensor]]:
    """By name: the stride at the input, the features of the cells (h w, P), and the map they lie on, (1, C, h, w).

    Of ESPNetv2: what the SISR branch is given (stride 4 and the deepest map, enlarged), and each map by itself.
    """
    by_stride = dict(zip((2, 4, 8, 16), model.host.base_net(x), strict=True)) | {1: x}
    found = {
        {1: "input", 16: "stride 16, the deepest"}.get(stride, f"stride {stride}"): (stride, neighbourhoods(maps), maps)
        for stride, maps in sorted(by_stride.items(), reverse=True)
    }
    low = by_stride[4]
    deep = F.interpolate(by_stride[16].float(), low.shape[2:], mode="bilinear", align_corners=False)
    found[SHARED] = 4, torch.cat([neighbourhoods(low), neighbourhoods(deep, 1)], dim=1), low
    return found


def taps_table(model: DSRL, config: Config, train: Sequence[np.ndarray], val: Sequence[np.ndarray]) -> pd.DataFrame:
    """One row per map and per interpolation: numbers that each cell is read from, mean PSNR (dB) and SSIM on val.

    train, val: images, uint8 (H, W, 3).
    """
    factor = round(1 / config.model.input_scale)
    fits: dict[str, Regression] = {}
    for _, x, hr in _frames(train, config):
        for name, (stride, features, maps) in taps(model, x).items():
            cells = (maps.shape[2], maps.shape[3])
            fits.setdefault(name, Regression()).add(features, blocks(hr, cells, factor * stride))
    solved = {name: fit.solve() for name, fit in fits.items()}
    qualities: dict[str, list[tuple[float, float]]] = {}
    numbers: dict[str, int] = {}
    for image, x, hr in _frames(val, config):
        for name, (stride, features, maps) in taps(model, x).items():
            coefficients, intercept = solved[name]
            cells = (maps.shape[2], maps.shape[3])
            restored = joined(features @ coefficients + intercept, cells, factor * stride, (hr.shape[2], hr.shape[3]))
            qualities.setdefault(f"linear, from {name}", []).append(reconstruction_quality(restored, image))
            numbers[f"linear, from {name}"] = features.shape[1]
        for method in METHODS:
            qualities.setdefault(f"{method} upsampling", []).append(reconstruction_quality(upsample(x, method), image))
    return _table(qualities, numbers)


def write_taps(profile: str, arm: str = "sssr", seed: int = 0) -> Path:
    """Write results/<profile>/tables/taps.csv: `taps_table` of the trained encoder of an arm.

    FileNotFoundError if its weights are not here; ValueError for a host that is no ESPNetv2.
    """
    config = preset(profile, arm, seed=seed)
    if not config.model.host.startswith("espnetv2"):
        raise ValueError(f"model.host = {config.model.host!r}; allowed: an ESPNetv2, whose maps the probe knows")
    weights = weights_of(config)
    if weights is None:
        raise FileNotFoundError(f"the weights of {config.run_id} are not here: train or release that run first")
    check_folder(results_dir() / profile, "DSRL_RESULTS")  # before all is measured
    model, config = open_weights(weights)
    train, val = (_spread(load_split(config.data.dataset, name), number) for name, number in FRAMES.items())
    table = taps_table(model.eval(), config, train, val)
    path = results_dir() / profile / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(float_format="%.4f", lineterminator="\n")
    write_atomically(path, lambda temporary: temporary.write_text(text))
    return path


def _spread(split: Split, number: int) -> list[np.ndarray]:
    """So many images of a split, evenly spread over it."""
    return [split.images[round(place)] for place in np.linspace(0, len(split) - 1, min(number, len(split)))]


def _frames(images: Sequence[np.ndarray], config: Config) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Each stored image, its normalised input (1, 3, h, w), and the image at HR, (1, 3, H, W)."""
    for image in images:
        hr = resize_image(image, *frame_size(image.shape[:2], config.data))
        yield image, normalise(network_input(image, config)[None]), normalise(hr[None])


def _table(qualities: Mapping[str, list[tuple[float, float]]], numbers: Mapping[str, int]) -> pd.DataFrame:
    rows = {
        name: {
            "numbers": numbers.get(name, 0),
            "PSNR (dB)": float(np.mean([psnr for psnr, _ in found])),
            "SSIM": float(np.mean([ssim for _, ssim in found])),
        }
        for name, found in qualities.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what restores the image")
