"""Weights of the auxiliary losses from target shares of CE's gradient on the shared encoder.

A weight says little about how much a loss acts: at w1 = w2 = 1 the gradients of two forms of FA differ by up to three
orders of magnitude. Equal shares make the strengths of losses comparable.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from dsrl_lib.config import Config, get
from dsrl_lib.losses.terms import TERMS
from dsrl_lib.training.gradient_shares import gradient_norms

TARGETS = {"loss.share_sisr": "mse", "loss.share_fa": "fa"}
"""The setting with the target share of each term that has one."""


def calibrate(
    network: nn.Module, batch: Mapping[str, Tensor], config: Config, class_weights: Tensor | None = None
) -> dict[str, float]:
    """w1 and w2, by name, at which MSE and FA have their target shares: norm of the term = share x norm of CE.

    A weight whose share is 0 is not calibrated and not returned. Arguments: as for `gradient_norms`. ValueError if a
    term has no gradient on the shared encoder, so that no weight gives it a share.
    """
    wanted = {setting: get(config, setting) for setting in TARGETS if get(config, setting) > 0}
    if not wanted:
        return {}
    unit = replace(config, loss=replace(config.loss, w1=1.0, w2=1.0))
    norms = gradient_norms(network, batch, unit, class_weights)
    weights: dict[str, float] = {}
    for setting, share in wanted.items():
        term = TARGETS[setting]
        weight = share * norms["ce"] / norms[term] if norms[term] else math.inf
        if not 0 < weight < math.inf:
            raise ValueError(
                f"{setting} = {share}, but at the start the gradients on the shared encoder are {norms[term]:g} for "
                f"{term} and {norms['ce']:g} for ce, so no weight gives this share; allowed here: 0"
            )
        weights[str(TERMS[term].weight)] = weight  # the name of its setting
    return weights
