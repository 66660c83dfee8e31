"""Speed of whole networks: training images per second by host, and pruned against full inference."""

import time

from benchmarks.stages import training_step
from benchmarks.timing import finish
from dsrl_lib import network
from dsrl_lib.config import Config, Data, Model
from dsrl_lib.device import pick_device
from dsrl_lib.evaluation import cost
from dsrl_lib.registry import HOSTS

RIVAL = "espnetv2_s1.0"
# Without DeepWV3+, which is too large for a CPU, and without hosts that have an auxiliary head more than another one.
BENCHED = tuple(name for name, host in HOSTS.items() if name != "deepwv3plus" and not host.pruned)


def training_bench(seconds: float = 4.0) -> list[dict[str, str | float]]:
    """Rows with `what`, `images_per_s` and `ratio` to ESPNetv2 s=1.0: all of DSRL at LR 180x240, batch 8."""
    speeds = {host: _training_speed(_config(host), seconds) for host in BENCHED}
    return [{"what": host, "images_per_s": s, "ratio": s / speeds[RIVAL]} for host, s in speeds.items()]


def pruning_bench() -> list[dict[str, str | float]]:
    """Rows with `what`, `full_ms`, `pruned_ms` and their `ratio`: all of DSRL, one frame at LR 180x240."""
    rows: list[dict[str, str | float]] = []
    for host in BENCHED:
        config = _config(host)
        costs = cost.latencies(network.build(config).to(pick_device("auto")), config)
        full, pruned = costs["latency_ms_full"], costs["latency_ms_pruned"]
        rows.append({"what": host, "full_ms": full, "pruned_ms": pruned, "ratio": full / pruned})
    return rows


def _config(host: str) -> Config:
    data = Data("camvid", height=360, width=480, crop_height=360, crop_width=480)
    return Config(data=data, model=Model(host, sssr=True, sisr=True, fa=True))


def _training_speed(config: Config, seconds: float) -> float:
    step = training_step(config)
    for _ in range(2):
        finish(step)  # to warm up
    steps, start = 0, time.perf_counter()
    while not steps or time.perf_counter() - start < seconds:
        finish(step)
        steps += 1
    return steps * config.optim.batch_size / (time.perf_counter() - start)
