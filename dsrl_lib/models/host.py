"""What a host segmentation network is, and what all of them share.

A host is an `nn.Module` with the attributes `classes`, `low_channels`, `deep_channels`, `last_channels`,
`align_corners` (of its own interpolation) and

- `early_channels`, only if it has a map at stride 2;
- `features(x) -> Features`, the maps that DSRL uses;
- `classify(last) -> (B, K, h, w)`, the prediction layer alone, at the size of `last`;
- `forward(x) -> (B, K, H, W)`, logits at the size of `x`, interpolated as in the published network;
- `set_classes(classes, rows=None)`, a new prediction layer (`replaced_classifier`);
- `pruned()`, only if it has an auxiliary head: the host without it, with the same parts.

Inputs are RGB images, (B, 3, H, W), normalised with the ImageNet mean and standard deviation. Any size works.
`registry.HOSTS` names all hosts; `models.build.build_host` builds one by its name.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

NEEDED = ("classes", "low_channels", "deep_channels", "last_channels", "align_corners", "features", "classify")
"""What DSRL reads of a host."""


class Features(NamedTuple):
    """The maps of a host that DSRL uses."""

    low: Tensor  # early encoder map, stride 4
    deep: Tensor  # encoder output
    last: Tensor  # input of the prediction layer
    aux: Tensor | None = None  # auxiliary logits, only from a host with an auxiliary head
    early: Tensor | None = None  # encoder map at stride 2, only from a host with `early_channels`


def initialise(network: nn.Module) -> None:
    """Kaiming normal (fan out) for convolutions with zero bias, 1 and 0 for batch norm, 0.25 for PReLU."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.PReLU):
            nn.init.constant_(module.weight, 0.25)


def replaced_classifier(layer: nn.Conv2d, classes: int, rows: Sequence[int | None] | None) -> nn.Conv2d:
    """A 1x1 prediction layer like `layer`, where it lies, with `classes` outputs: copied `rows` of it, or fresh ones.

    A row that is None is fresh. ValueError unless there is a row for each class, and each is one that `layer` has.
    """
    new = nn.Conv2d(layer.in_channels, classes, 1, bias=layer.bias is not None)
    initialise(new)
    new.to(layer.weight.device, layer.weight.dtype)
    if rows is not None:
        if len(rows) != classes or not all(row is None or 0 <= row < layer.out_channels for row in rows):
            raise ValueError(f"rows {tuple(rows)}: need {classes} indices from 0 to {layer.out_channels - 1}")
        with torch.no_grad():
            kept = [k for k, row in enumerate(rows) if row is not None]
            copied = [row for row in rows if row is not None]
            new.weight[kept] = layer.weight[copied]
            if layer.bias is not None:
                new.bias[kept] = layer.bias[copied]
    return new
