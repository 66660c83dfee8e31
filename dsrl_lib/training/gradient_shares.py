"""How strongly each term of the loss acts on the shared encoder: the norm of its gradient there, and its share.

The shared encoder is the part of the host that every branch trains: those parameters of the host that the gradient of
every term reaches. For ESPNetv2 these are levels 1 to 4: MSE enters at levels 2 and 4, CE and FA come through the
decoder. A term whose share is near 0 tests nothing, whatever its weight is.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dsrl_lib import distributed
from dsrl_lib.config import Config
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.network import training_mode
from dsrl_lib.overrides import override
from dsrl_lib.runs import GRADIENT_COLUMNS
from dsrl_lib.training.batches import batches
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.random_state import seeded

SEED = 0
"""Of dropout, which is the same at each measurement."""


def fixed_batch(samples: TrainingSet, config: Config, device: torch.device) -> dict[str, Tensor]:
    """This process's part of the batch on which gradients are measured: the first one of a run that starts from no
    other. So all stages of a seed are measured on the same batch."""
    batch = next(batches(samples, config, range(1), 0, device, workers=0))
    return {key: value.to(device) for key, value in batch.items()}


def gradient_norms(
    network: nn.Module, batch: Mapping[str, Tensor], config: Config, class_weights: Tensor | None = None
) -> dict[str, float]:
    """The norm of the gradient of each weighted term on the shared encoder, by the keys of `TERMS`.

    network: a `models.DSRL`, in the mode of training; its weights, statistics and gradients stay as they are, and so
    does the random state. In float32, so that small gradients do not vanish. In several processes, which all have to
    call this, the gradients are those of the whole batch.
    """
    config = override(config, "optim.precision", "fp32")
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}  # training mode changes statistics
    with torch.enable_grad(), seeded(SEED, next(network.parameters()).device), training_mode(network, config):
        terms = loss_terms(lambda *x: functional_call(network, buffers, x), dict(batch), config, class_weights)
        return encoder_norms(terms, network.host.parameters())


def encoder_norms(terms: Mapping[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict[str, float]:
    """The norm of the gradient of each term on those of the parameters that every term reaches.

    terms: scalars by name. A term without a gradient, or terms that share no parameter, give 0 everywhere.
    """
    parameters = [p for p in parameters if p.requires_grad]
    gradients = {
        name: torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        for name, term in terms.items()
    }
    shared = [i for i in range(len(parameters)) if all(found[i] is not None for found in gradients.values())]
    norms = {}
    for name, found in gradients.items():
        flat = [found[i].detach().double().flatten() for i in shared]
        norms[name] = distributed.mean(torch.cat(flat)).norm().item() if flat else 0.0
    return norms


def gradient_shares(norms: Mapping[str, float]) -> dict[str, float]:
    """Each norm as a share of the sum of all; 0 if there is no gradient."""
    total = sum(norms.values())
    return {name: norm / total if total else 0.0 for name, norm in norms.items()}


def history_columns(norms: Mapping[str, float]) -> dict[str, float]:
    """Norms and shares under the names of their columns in history.csv."""
    columns = zip(GRADIENT_COLUMNS, (norms, gradient_shares(norms)), strict=True)
    return {f"{column}_{name}": value for column, values in columns for name, value in values.items()}
