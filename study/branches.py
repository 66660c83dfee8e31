"""What a trained SISR branch takes from the encoder: what it restores with the maps of another frame instead.

A branch that adds detail to bicubic upsampling, and sees the input besides the encoder's maps, may restore a frame
without them. So each branch restores val twice: with the maps of the frame, and with those of another frame, where the
input, and its bicubic upsampling, stay those of the frame.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dsrl_lib.data.frames import Arrays
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import load_split
from dsrl_lib.deploy.pretrained import open_weights, weights_of
from dsrl_lib.evaluation.details import reconstruction_quality
from dsrl_lib.evaluation.forward import network_input
from dsrl_lib.evaluation.interpolation import upsample
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import check_folder, results_dir
from dsrl_lib.records import write_atomically
from study.presets import preset
from study.report.taps import BICUBIC, BRANCHES, OTHER, OWN, RUN


@torch.inference_mode()
def restored(model: DSRL, images: Arrays, to_input: Callable[[np.ndarray], Tensor]) -> dict[str, float]:
    """Mean PSNR (dB) of what a branch restores with the maps of each frame, and with those of the frame half the list
    away; and of bicubic upsampling.

    images: uint8 (H, W, 3) by index. to_input: from an image to the normalised input, (1, 3, h, w). ValueError for
    inputs of several sizes.
    """
    found: dict[str, list[float]] = {OWN: [], OTHER: [], BICUBIC: []}
    for k in range(len(images)):
        image, x = images[k], to_input(images[k])
        other = to_input(images[(k + len(images) // 2) % len(images)])
        if x.shape != other.shape:
            raise ValueError(f"inputs of {tuple(x.shape)} and {tuple(other.shape)}; allowed: frames of one size")
        for name, source in ((OWN, x), (OTHER, other)):
            found[name].append(reconstruction_quality(model.reconstruct(x, model.host.features(source))[0], image)[0])
        found[BICUBIC].append(reconstruction_quality(upsample(x, "bicubic"), image)[0])
    return {name: float(np.mean(values)) for name, values in found.items()}


def write_branch(profile: str, arm: str = "dsrl", seed: int = 0) -> Path:
    """Write the row of a run in results/<profile>/tables/branches.csv: `restored` on val. Other rows stay.

    ValueError for an arm without SISR; FileNotFoundError if weights with its branch are not here.
    """
    config = preset(profile, arm, seed=seed)
    if not config.model.sisr:
        raise ValueError(f"arm = {arm!r}; allowed: an arm with a SISR branch, such as dsrl")
    weights = weights_of(config)
    model = open_weights(weights)[0] if weights is not None else None
    if model is None or model.sisr is None:
        raise FileNotFoundError(f"the SISR branch of {config.run_id} is not here: train that run first")
    check_folder(results_dir() / profile, "DSRL_RESULTS")  # before all is measured
    val = load_split(config.data.dataset, "val")
    scores = restored(model.eval(), val.images, lambda image: normalise(network_input(image, config)[None]))
    row = pd.DataFrame(scores, index=[config.run_id])
    path = results_dir() / profile / BRANCHES
    known = pd.read_csv(path, index_col=RUN) if path.exists() else row
    table = pd.concat([known.drop(config.run_id, errors="ignore"), row]).sort_index().rename_axis(RUN)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(float_format="%.4f", lineterminator="\n")
    write_atomically(path, lambda temporary: temporary.write_text(text))
    return path
