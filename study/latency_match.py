"""At which input the host alone takes as long as host and SSSR head at LR: the scale of arm `latency_matched`."""

import statistics
from dataclasses import dataclass

import numpy as np
import torch

from dsrl_lib import network
from dsrl_lib.allowed import check
from dsrl_lib.config import Config
from dsrl_lib.device import pick_device
from dsrl_lib.evaluation import cost
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.overrides import override
from dsrl_lib.progress import bar
from study.turns import NUMBER

SCALES = tuple(np.linspace(0.5, 0.8, 13).round(3).tolist())
"""Input side / HR side at which the host is measured."""


@dataclass(frozen=True)
class Match:
    """Where the latencies meet: the median over turns, and the smallest and largest of them."""

    scale: float
    low: float
    high: float
    turns: int


def latency_matched_scale(config: Config, device: str = "cpu", *, turns: int) -> Match:
    """Measure the pruned network of `config` (arm sssr) and its host alone at SCALES, in turn.

    In each turn the scale is where a line through the latencies of the host over the area of its input (least squares)
    reaches the latency of the pruned network. Nothing else should run meanwhile. ValueError if that is outside SCALES.
    """
    check("turns", turns, NUMBER)
    where = pick_device(device)
    model = network.build(override(config, "model.pretrained", "none")).to(memory_format=torch.channels_last)
    model = model.eval().to(where)
    forms = [(model.prune().eval(), cost.example_input(config).to(where))]
    host = DSRL(model.host, sssr=False).eval()
    forms += [(host, cost.example_input(override(config, "model.input_scale", scale)).to(where)) for scale in SCALES]
    areas = np.array([x.shape[2] * x.shape[3] for _, x in forms[1:]], float)
    hr = config.data.height * config.data.width
    found = []
    for _ in bar(range(turns), unit=" turns", desc="latency"):
        aim, *times = cost.latency_ms(forms, config)
        slope, start = np.polyfit(areas, times, 1)
        found.append(float(np.sqrt(max(0.0, (aim - start) / slope) / hr)) if slope > 0 else 0.0)
    match = Match(statistics.median(found), min(found), max(found), turns)
    if not SCALES[0] <= match.scale <= SCALES[-1]:
        raise ValueError(
            f"the host takes the time of host and head at a scale of {match.scale:.3f} (by turn {match.low:.3f} to "
            f"{match.high:.3f}); allowed are {SCALES[0]} to {SCALES[-1]}: is the machine busy?"
        )
    return match
