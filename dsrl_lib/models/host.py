"""Host segmentation networks: what they have in common and how one is built by name.

A host is an `nn.Module` with the attributes `classes`, `low_channels`, `deep_channels`, `last_channels` and

- `features(x) -> Features`, the maps that DSRL taps;
- `classify(last) -> (B, K, h, w)`, the prediction layer alone, at the size of `last`;
- `forward(x) -> (B, K, H, W)`, logits at the size of `x`, interpolated as in the published network.

Inputs are RGB images, (B, 3, H, W), normalised with the ImageNet mean and standard deviation. Any size works.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from dsrl_lib.config import Host

HOSTS: tuple[str, ...] = get_args(Host)

# What a number of numpy is made with, under its present and its old name. Training scripts save one beside the weights,
# their best score, and a file that may name nothing else still runs no code of its own.
_scalar = np.float64().__reduce__()[0]
NUMPY_SCALARS = [_scalar, (_scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Float64DType]


class Features(NamedTuple):
    """The maps of a host that DSRL uses."""

    low: Tensor  # early encoder map, stride 4
    deep: Tensor  # encoder output
    last: Tensor  # input of the prediction layer
    aux: Tensor | None = None  # auxiliary logits, only from a host with an auxiliary head


def build_host(
    name: str, classes: int, weights: str | Path | None = None, *, rows: Sequence[int | None] | None = None
) -> nn.Module:
    """Build the host `name` with `classes` outputs, from scratch or from a published state dict.

    Published files hold Cityscapes classes: 20 in ESPNetv2 (19 and a dead "background"), 19 elsewhere. When
    `classes` differs, or `rows` is given, the prediction layer is replaced: by the published `rows`, one row
    index (or None: fresh) per class, when `weights` and `rows` are both given, otherwise by a fresh layer.

    Raises ValueError for an unknown name, rows that do not fit, or a state dict that does not fit strictly,
    and FileNotFoundError for missing weights.
    """
    if name not in HOSTS:
        raise ValueError(f"host {name!r} is unknown; allowed: {', '.join(HOSTS)}")
    host = _construct(name, classes if weights is None else 19)
    if weights is not None:
        load_strictly(host, read_state_dict(weights), str(weights))
    copied = rows if weights is not None else None
    if host.classes != classes or copied is not None:
        host.set_classes(classes, copied)
    return host


def _construct(name: str, classes: int) -> nn.Module:
    family, _, variant = name.partition("_")
    if family == "espnetv2":
        from dsrl_lib.models.hosts.espnetv2 import ESPNetv2

        return ESPNetv2(float(variant[1:]))  # always 20 classes: its inner widths depend on their number
    if family == "deeplabv3plus":
        from dsrl_lib.models.hosts.deeplabv3plus import DeepLabV3Plus

        return DeepLabV3Plus(variant, classes)
    if family == "deepwv3plus":
        from dsrl_lib.models.hosts.deepwv3plus import DeepWV3Plus

        return DeepWV3Plus(classes)
    from dsrl_lib.models.hosts.ddrnet import ddrnet

    return ddrnet(name, classes)


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
    """A 1x1 prediction layer like `layer` with `classes` outputs: copied `rows` of `layer`, or fresh ones."""
    new = nn.Conv2d(layer.in_channels, classes, 1, bias=layer.bias is not None)
    initialise(new)
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


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict onto the CPU, plain or under the key `state_dict` of a training script's checkpoint."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"weights {str(path)!r} not found")
    with torch.serialization.safe_globals(NUMPY_SCALARS):
        content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping):
        raise ValueError(f"weights {str(path)!r} hold a {type(content).__name__}, not a state dict")
    return content.get("state_dict", content)


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load `state`, or raise ValueError that lists every missing and unexpected key, wrong shape, and NaN.

    A network whose published files need translation offers `published_state(state)`, which is applied first.
    """
    if hasattr(network, "published_state"):
        state = network.published_state(state)
    own = network.state_dict()
    problems = [f"missing {key}" for key in own if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in own]
    for key in (key for key in own if key in state):
        if not isinstance(state[key], Tensor):
            problems.append(f"{key} is a {type(state[key]).__name__}")
        elif state[key].shape != own[key].shape:
            problems.append(f"shape of {key}: {tuple(state[key].shape)} instead of {tuple(own[key].shape)}")
        elif not (state[key].is_meta or state[key].isfinite().all()):
            problems.append(f"{key} holds NaN or infinite values")
    if problems:
        listing = "\n  ".join(problems)
        raise ValueError(f"weights {source!r} do not fit {type(network).__name__}:\n  {listing}")
    network.load_state_dict(state)
