"""Measure the latencies of finished runs again: those that trained side by side timed each other as well."""

import statistics
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

import torch
from tqdm import tqdm

from dsrl_lib import network, runs
from dsrl_lib.config import Config, override
from dsrl_lib.device import device_name
from dsrl_lib.evaluation import cost
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import results_dir

ROUNDS = 5


def remeasure(profile: str, device: str = "cpu") -> tuple[int, int]:
    """Write new latencies into metrics.json of every complete run of a profile; how many runs and networks there were.

    A network is measured once for all seeds: what it costs does not depend on the values of its weights, so none need
    be there. All networks take turns, ROUNDS times, and keep the median: a slow minute falls on all of them alike. To
    be called where nothing else runs. ValueError where a run comes from another device than this one, before anything
    is written.
    """
    here = device_name(torch.device(device))
    networks: dict[Hashable, list[Path]] = defaultdict(list)
    configs: dict[Hashable, Config] = {}
    for path in sorted((results_dir() / profile / "runs").glob("*/metrics.json")):
        environment = runs.read_json(path.with_name("env.json"))
        if environment["device"] != here:
            raise ValueError(f"{path.parent.name} ran on {environment['device']}, and this device is {here}")
        config = Config.from_dict(runs.read_json(path.with_name("config.json")))
        sides = (config.data.dataset, config.data.height, config.data.width)
        key = (config.model, *sides, config.optim.precision, environment["threads"])
        networks[key].append(path)
        configs[key] = config
    times: dict[Hashable, list[dict[str, float]]] = defaultdict(list)
    threads = torch.get_num_threads()
    try:
        for key in tqdm(list(networks) * ROUNDS, unit=" networks", desc="latency"):
            *_, its_threads = key
            torch.set_num_threads(its_threads)
            times[key].append(cost.latencies(_untrained(configs[key]).to(device), configs[key]))
    finally:
        torch.set_num_threads(threads)
    for key, paths in networks.items():
        for path in paths:
            metrics = runs.read_json(path)
            for name in times[key][0]:
                metrics["cost"][name] = round(statistics.median(turn[name] for turn in times[key]), 3)
            runs.write_json(path, metrics)
    return sum(map(len, networks.values())), len(networks)


def _untrained(config: Config) -> DSRL:
    return network.build(override(config, "model.pretrained", "none")).to(memory_format=torch.channels_last)
