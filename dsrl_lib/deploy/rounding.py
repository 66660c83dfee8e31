"""Kernels in bfloat16: half the file of a network that computes in bfloat16, and the same bits come out of it.

Autocast rounds kernels to bfloat16 at each step; here they are rounded once. All else stays in float32, such as the
auxiliary network of adaptive downsampling, which computes in it.
"""

from pathlib import Path

import torch
from torch import Tensor

from dsrl_lib import network
from dsrl_lib.config import Config
from dsrl_lib.deploy.pretrained import open_weights
from dsrl_lib.device import autocast
from dsrl_lib.evaluation import cost
from dsrl_lib.models.downsampling.downsampler import without_labels
from dsrl_lib.models.dsrl import DSRL


def has_rounded_kernels(path: Path) -> bool:
    """Whether `round_kernels` made this file."""
    return any(tensor.dtype == torch.bfloat16 for tensor in network.read(path)[0].values())


def round_kernels(path: Path) -> None:
    """Keep the kernels of a file of this library in bfloat16, if its network computes in that; else leave it.

    RuntimeError if some output would change; the file is then as it was.
    """
    model, config = open_weights(path)
    if config.optim.precision == "bf16":
        try:
            rounded(model, config)
        except RuntimeError as error:
            raise RuntimeError(f"{path}: {error}") from None
        network.save(model, config, path, folded="folded" in network.metadata(path))


def rounded(model: DSRL, config: Config) -> None:
    """Turn the kernels of a network into bfloat16, to be saved: it cannot compute then. RuntimeError if some output
    would change."""
    before = _outputs(model.eval(), config)
    precise = set() if model.downsampling is None else set(model.downsampling.parameters())
    kernels = [parameter for parameter in model.parameters() if parameter.dim() > 1 and parameter not in precise]
    for kernel in kernels:
        kernel.data = kernel.data.bfloat16().float()
    if changed := [name for name, value in _outputs(model, config).items() if not torch.equal(value, before[name])]:
        raise RuntimeError(f"kernels in bfloat16 would change {', '.join(changed)}: a part computes in float32")
    for kernel in kernels:
        kernel.data = kernel.data.bfloat16()


@torch.inference_mode()
def _outputs(model: DSRL, config: Config) -> dict[str, Tensor]:
    x = cost.example_input(config)
    with autocast(x.device, config.optim.precision):
        return {name: value.clone() for name, value in without_labels(model)(x).items()}
