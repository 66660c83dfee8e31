"""Measure the latencies of finished runs again: those that trained side by side timed each other as well."""

from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

import torch

from dsrl_lib import network, runs
from dsrl_lib.allowed import check
from dsrl_lib.config import Config
from dsrl_lib.device import device_name, pick_device
from dsrl_lib.evaluation import cost
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.overrides import override
from dsrl_lib.paths import check_folder, results_dir
from dsrl_lib.progress import bar
from dsrl_lib.records import read_json
from study.turns import NUMBER, write_turns


def remeasure(profile: str, device: str = "cpu", *, turns: int) -> tuple[int, int]:
    """Write latency.json for the complete runs of a profile (`study.turns`); how many runs and networks there were.

    A network is measured once for all seeds: its cost does not depend on the values of its weights, so no weights are
    needed, and runs of any device can be measured on this one. All networks take turns: a slow minute slows all of them
    alike. Nothing else should run meanwhile. The runs keep what they recorded. ValueError if there is no run.
    """
    check("turns", turns, NUMBER)
    where = pick_device(device)
    check_folder(results_dir() / profile, "DSRL_RESULTS")  # before all is measured
    networks = _networks(profile)
    if not networks:
        raise ValueError(f"profile {profile} has no complete run in {results_dir()}: there is nothing to measure")
    times: dict[Hashable, list[dict[str, float]]] = defaultdict(list)
    threads = torch.get_num_threads()
    try:
        for key in bar(list(networks) * turns, unit=" networks", desc="latency"):
            *_, its_threads = key
            config = runs.read_config(networks[key][0])
            torch.set_num_threads(its_threads)
            times[key].append(cost.latencies(_untrained(config).to(where), config))
    finally:
        torch.set_num_threads(threads)
    shown = [
        ([path.name for path in directories], {name: [turn[name] for turn in times[key]] for name in times[key][0]})
        for key, directories in networks.items()
    ]
    write_turns(profile, device_name(where), shown)
    return sum(map(len, networks.values())), len(networks)


def _networks(profile: str) -> dict[Hashable, list[Path]]:
    """The complete runs by what decides their latency; the last part of a key is the number of threads."""
    networks: dict[Hashable, list[Path]] = defaultdict(list)
    for path in sorted((results_dir() / profile / "runs").glob("*/metrics.json")):
        environment = read_json(path.with_name("env.json"), runs.ENVIRONMENT | {"threads": int})
        config = runs.read_config(path.parent)
        sides = (config.data.dataset, config.data.height, config.data.width)
        parts = (config.model, config.downsampling)
        networks[(*parts, *sides, config.optim.precision, environment["threads"])].append(path.parent)
    return networks


def _untrained(config: Config) -> DSRL:
    return network.build(override(config, "model.pretrained", "none")).to(memory_format=torch.channels_last)
