"""A host network by its name, from scratch or from a published state dict."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from dsrl_lib.allowed import at_least, check, did_you_mean
from dsrl_lib.registry import HOSTS, named

# The constructors of NumPy scalars, by their present and old names. Checkpoints often hold one (the best score);
# allowing these alone keeps loading safe.
_scalar = np.float64().__reduce__()[0]
NUMPY_SCALARS = [_scalar, (_scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Float64DType]


def build_host(
    name: str,
    classes: int,
    weights: str | Path | None = None,
    *,
    rows: Sequence[int | None] | None = None,
    encoder: bool = False,
) -> nn.Module:
    """Build the host `name` with `classes` outputs, from scratch or from a published state dict.

    Published files hold the classes of Cityscapes (`registry.Host.outputs`). If `classes` differs, or `rows` is given,
    the prediction layer is replaced: by the published `rows`, one row index (or None: fresh) per class, if `weights`
    and `rows` are both given, otherwise by a fresh layer. encoder: the file may hold the encoder alone; what it lacks
    is as from scratch.

    Raises ValueError for an unknown name, no classes, rows that do not fit, or a state dict that does not fit strictly,
    and FileNotFoundError for missing weights.
    """
    if name not in HOSTS:
        raise ValueError(f"host {name!r} is unknown; allowed: {', '.join(HOSTS)}{did_you_mean(name, HOSTS)}")
    check("classes", classes, Annotated[int, at_least(1)])
    entry = HOSTS[name]
    host = named(entry.constructor)(*entry.arguments, classes if weights is None else entry.outputs)
    if weights is not None:
        load_strictly(host, read_state_dict(weights), str(weights), encoder)
    copied = rows if weights is not None else None
    if host.classes != classes or copied is not None:
        host.set_classes(classes, copied)
    return host


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict onto the CPU, plain or under the key `state_dict` of a training script's checkpoint.

    FileNotFoundError for a missing file, ValueError for one that holds something else or is not safe to read.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"weights {str(path)!r} not found")
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):  # says nothing about the file
        raise
    except Exception as error:  # a damaged file ends in errors of many kinds
        raise ValueError(f"{path} is not a state dict that can be read safely: {error}") from None
    found = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        kind = type(found).__name__ if not isinstance(found, Mapping) else "table whose keys are not all names"
        raise ValueError(f"weights {str(path)!r} hold a {kind}, not a state dict")
    return dict(found)


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], source: str, encoder: bool = False) -> None:
    """Load `state`, or raise ValueError that lists every missing and unexpected key, wrong shape or type, and NaN.

    A network whose published files need translation offers `published_state(state)`, which is applied first. encoder:
    keys may be missing, since the file is of the encoder.
    """
    if hasattr(network, "published_state"):
        state = network.published_state(state)
    own = network.state_dict()
    state = {**own, **state} if encoder else state
    problems = [f"missing {key}" for key in own if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in own]
    for key in (key for key in own if key in state):
        if not isinstance(state[key], Tensor):
            problems.append(f"{key} is a {type(state[key]).__name__}")
        elif state[key].shape != own[key].shape:
            problems.append(f"shape of {key}: {tuple(state[key].shape)} instead of {tuple(own[key].shape)}")
        elif not can_take(own[key], state[key]):
            problems.append(f"type of {key}: {state[key].dtype} instead of {own[key].dtype}")
        elif not (state[key].is_meta or is_finite(state[key])):
            problems.append(f"{key} holds NaN or infinite values")
    if problems:
        listing = "\n  ".join(problems)
        raise ValueError(f"weights {source!r} do not fit {type(network).__name__}:\n  {listing}")
    network.load_state_dict(state)


def can_take(own: Tensor, found: Tensor) -> bool:
    """Whether the numbers of a file mean the same in a network: not complex ones, and not whole ones for weights, which
    a quantised file holds."""
    return torch.can_cast(found.dtype, own.dtype) and found.is_floating_point() == own.is_floating_point()


def is_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite, in any type: PyTorch does not say so of floats of 8 bits."""
    return bool((values.float() if values.element_size() == 1 else values).isfinite().all())
