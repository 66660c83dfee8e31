"""Files of weights: open any of them, prune them for inference, say what is in them."""

import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from dsrl_lib import network
from dsrl_lib.config import Config, override
from dsrl_lib.data.class_tables import CITYSCAPES
from dsrl_lib.evaluation import cost
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.folding import fold_batch_norms
from dsrl_lib.models.host import build_host
from study.presets import preset

FILE = "final.safetensors"
PUBLISHED_INPUT = {"512x256": (256, 512), "1024x512": (512, 1024)}
"""In the names of published ESPNetv2 files: height and width they were trained at."""


@dataclass(frozen=True)
class Size:
    """What a network costs."""

    megabytes: float
    """Of its file."""
    parameters: int
    macs: int
    """Of one frame of the run's input size."""


def open_weights(path: Path, host: str | None = None) -> tuple[DSRL, Config]:
    """The network and configuration of a run directory, a file that this library wrote, or a published state dict.

    host: needed for a `.pth` state dict, which does not say what it is; nothing in it is run. ValueError with the
    keys that differ where a file does not fit, FileNotFoundError where there is none.
    """
    if path.is_dir():
        path = path / FILE
    if not path.exists():
        raise FileNotFoundError(f"weights {path} do not exist")
    if path.suffix == ".pth":
        return _published(path, host)
    return network.load(path)


def _published(path: Path, host: str | None) -> tuple[DSRL, Config]:
    if host is None:
        raise ValueError(f"{path} is a plain state dict: say which network it is with --host, such as espnetv2_s2.0")
    config = preset("cityscapes", "hr", host)
    for name, sides in PUBLISHED_INPUT.items():
        if name in path.stem:
            for side, value in zip(("height", "width"), sides, strict=True):
                config = override(config, f"data.{side}", value)
                config = override(config, f"data.crop_{side}", value)
    try:
        model = build_host(host, len(CITYSCAPES.classes), path, rows=range(len(CITYSCAPES.classes)))
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a state dict that can be read safely: {error}") from None
    return DSRL(model, sssr=False), override(config, "model.pretrained", "none")


def prune(source: Path, target: Path, fold: bool = False) -> tuple[Size, Size]:
    """Write what inference needs of `source` to `target`: no SISR head, no feature transform; the sizes of both.

    fold: also fold batch norms into convolutions. The logits are compared: bit-equal, or equal up to rounding where
    folded, else RuntimeError. ValueError where both are one file.
    """
    model, config = open_weights(source)
    if target.exists() and target.samefile(source / FILE if source.is_dir() else source):
        raise ValueError(f"{target} is the file to be pruned: choose another name")
    x = cost.example_input(config)
    config = replace(config, model=replace(config.model, sisr=False, sisr_frozen=False, fa=False))
    before, after = _logits(model, x), model.eval().prune()
    size = _size(source / FILE if source.is_dir() else source, model, x)
    if fold:
        fold_batch_norms(after)
    difference = (_logits(after, x) - before).abs().max().item()
    if difference > (1e-3 * before.abs().max().item() if fold else 0):
        raise RuntimeError(f"pruning {source} changed the logits by up to {difference:g}; {target} was not written")
    network.save(after, config, target, folded=fold)
    return size, _size(target, after, x)


def describe(path: Path) -> str:
    """What a file holds: configuration, classes, normalisation, where it comes from, every tensor with its shape."""
    if path.is_dir():
        path = path / FILE
    tensors, config = network.read(path)
    found = network.metadata(path)
    lines = [f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, run {config.run_id}"]
    lines += [f"{name}: {value}" for name, value in config.to_dict().items()]
    lines += [f"classes: {', '.join(json.loads(found['classes']))}", f"normalisation: {found['normalisation']}"]
    lines += [f"batch norms folded: {'yes' if 'folded' in found else 'no'}"]
    environment = path.parent / "env.json"
    if environment.exists():
        lines += [f"environment: {environment.read_text().strip()}"]
    lines += [f"{len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} values"]
    lines += [f"  {name}  {tuple(t.shape)}  {str(t.dtype).removeprefix('torch.')}" for name, t in tensors.items()]
    return "\n".join(lines)


def summary(model: nn.Module, x: torch.Tensor, depth: int = 3) -> str:
    """The module tree down to `depth`, with parameters and with the MACs of one forward pass on x."""
    counts = cost.macs_by_module(model, x)
    lines = [f"{'module':44}{'kind':22}{'parameters':>12}{'MACs (M)':>10}"]
    for name, module in model.named_modules():
        level = name.count(".") + 1 if name else 0
        if level <= depth:
            label = "  " * level + (name.rpartition(".")[2] or "network")
            parameters = sum(p.numel() for p in module.parameters())
            macs = counts[name] / 1e6
            lines.append(f"{label:44}{type(module).__name__:22}{parameters:>12,}{macs:>10.2f}")
    return "\n".join(lines)


@torch.inference_mode()
def _logits(model: DSRL, x: torch.Tensor) -> torch.Tensor:
    return model.eval()(x)["logits"].clone()


def _size(path: Path, model: nn.Module, x: torch.Tensor) -> Size:
    parameters = sum(p.numel() for p in model.parameters())
    return Size(path.stat().st_size / 1e6, parameters, cost.macs(model, x))
