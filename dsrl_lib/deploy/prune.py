"""Prune a network for inference: the file without what only training needs, with the same logits."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from dsrl_lib import network, runs
from dsrl_lib.config import Config
from dsrl_lib.deploy.pretrained import open_weights
from dsrl_lib.deploy.rounding import has_rounded_kernels, rounded
from dsrl_lib.evaluation import cost
from dsrl_lib.models.downsampling.downsampler import without_labels
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.folding import fold_batch_norms
from dsrl_lib.paths import check_file
from dsrl_lib.registry import HOSTS

SUFFIX = runs.SUFFIXES[0]


@dataclass(frozen=True)
class Size:
    """The size of a network."""

    megabytes: float
    """Of its file."""
    parameters: int
    macs: int
    """Of one frame of the run's input size."""


def prune(source: str | Path, target: str | Path, fold: bool = False) -> tuple[Size, Size]:
    """Write what inference needs of `source` to `target`: no SISR head, feature transform or auxiliary head. Returns
    both sizes.

    source: a run directory or a file of this library. fold: also fold batch norms into convolutions. The logits are
    compared: they must be bit-equal, or equal up to rounding if folded; else RuntimeError, and no file. ValueError if
    source or target is no .safetensors file, or if they are one file.
    """
    source, target = Path(source), Path(target)
    if target.suffix != SUFFIX:
        raise ValueError(f"target = {target}; allowed: a name that ends in {SUFFIX}")
    check_file(target, "target")
    file = runs.weights_file(source)
    if file.suffix != SUFFIX:
        raise ValueError(f"source = {source}; allowed: a run, or a file of this library, which ends in {SUFFIX}")
    model, config = open_weights(file)
    if target.exists() and target.samefile(file):
        raise ValueError(f"{target} is the file to be pruned: choose another name")
    x = cost.example_input(config)
    config = without_branches(config)
    before, after = _logits(model, x), model.eval().prune()
    size = _size(file, _counts(model, x))
    if fold:
        fold_batch_norms(after)
    difference = (_logits(after, x) - before).abs().max().item()
    if not difference <= (1e-3 * before.abs().max().item() if fold else 0):  # NaN too
        raise RuntimeError(f"pruning {source} changed the logits by up to {difference:g}; {target} was not written")
    counts = _counts(after, x)
    if has_rounded_kernels(file):
        rounded(after, config)
    network.save(after, config, target, folded=fold or "folded" in network.metadata(file))
    return size, _size(target, counts)


def without_branches(config: Config) -> Config:
    """The configuration of a pruned network: its host has no auxiliary head, and what needs SISR or FA is off."""
    host = HOSTS[config.model.host].pruned or config.model.host
    model = replace(config.model, host=host, sisr=False, sisr_frozen=False, sisr_residual=False, fa=False)
    loss = replace(config.loss, share_sisr=0.0, share_fa=0.0, fa_form="paper")
    return replace(config, model=model, loss=loss, optim=replace(config.optim, sisr_warmup=0)).checked()


@torch.inference_mode()
def _logits(model: DSRL, x: torch.Tensor) -> torch.Tensor:
    return without_labels(model.eval())(x)["logits"].clone()


def _counts(model: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """Parameters and multiply-accumulates."""
    return sum(p.numel() for p in model.parameters()), cost.macs(model, x)


def _size(path: Path, counts: tuple[int, int]) -> Size:
    return Size(path.stat().st_size / 1e6, *counts)
