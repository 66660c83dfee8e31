"""Say what is in a file of weights, and what a network is made of."""

from pathlib import Path
from typing import Annotated

import torch
from torch import nn

from dsrl_lib import network, runs
from dsrl_lib.allowed import at_least, check
from dsrl_lib.evaluation import cost


def describe(path: Path) -> str:
    """What a file holds: configuration, classes, normalisation, where it comes from, every tensor with its shape."""
    path = runs.weights_file(path)
    tensors, config = network.read(path)
    found = network.metadata(path)
    lines = [f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, run {config.run_id}"]
    lines += [f"{name}: {value}" for name, value in config.to_dict().items()]
    classes = network.stored(path, "classes", list[str])
    lines += [f"classes: {', '.join(classes)}", f"normalisation: {found['normalisation']}"]
    lines += [f"batch norms folded: {'yes' if 'folded' in found else 'no'}"]
    environment = path.parent / "env.json"
    if environment.exists():
        lines += [f"environment: {environment.read_text(errors='replace').strip()}"]
    lines += [f"{len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} values"]
    lines += [f"  {name}  {tuple(t.shape)}  {str(t.dtype).removeprefix('torch.')}" for name, t in tensors.items()]
    return "\n".join(lines)


def summary(model: nn.Module, x: torch.Tensor, depth: int = 3) -> str:
    """The module tree down to `depth`, with parameters and with the MACs of one forward pass on x, (1, 3, h, w).

    ValueError for a depth below 0.
    """
    check("depth", depth, Annotated[int, at_least(0)])
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
