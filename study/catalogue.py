"""The complete runs of a profile, as they are on the disk: what is read, selected and refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsrl_lib.config import Config
from dsrl_lib.paths import results_dir
from dsrl_lib.records import read_json
from dsrl_lib.runs import ENVIRONMENT, METRICS, is_complete, read_config
from study.arms import ARMS
from study.counts import SPLITS as SPLITS
from study.counts import Counts, DamagedRunError, read_counts
from study.presets import preset
from study.profiles import PROFILES, SEARCH_SEEDS, known_profile
from study.turns import Turns, read_turns

_COSTS = METRICS | {"cost": {"input": list[int], "*": float | bool}}  # of a metrics.json: scores come from the counts


@dataclass(frozen=True)
class Run:
    """One complete run directory."""

    folder: Path
    config: Mapping[str, Any]
    """The whole configuration, also of a config.json that is older than some settings."""
    env: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def profile(self) -> str:
        return self.config["profile"]

    @property
    def arm(self) -> str:
        return self.config["arm"]

    @property
    def host(self) -> str:
        return self.config["model"]["host"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def devices(self) -> list[str]:
        """The devices that trained it, in their order: more than one if it was continued elsewhere."""
        processes = [*self.env.get("earlier", ()), self.env]
        return [str(process.get("device", "unknown")) for process in processes]

    @property
    def trains_host(self) -> bool:
        """Whether this run trained more than the auxiliary network of adaptive downsampling."""
        return self.config["downsampling"]["stage"] != "locations"

    @cached_property
    def history(self) -> pd.DataFrame:
        """history.csv: one row per epoch."""
        path = self.folder / "history.csv"
        try:
            found = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise DamagedRunError(f"{path} cannot be read: {error}") from None
        if missing := {"epoch", "step", "lr", "loss"} - {*found.select_dtypes("number")}:
            raise DamagedRunError(f"{path} has no numbers in the column {sorted(missing)[0]}")
        return found

    def counts(self, split: str) -> Counts:
        """Counts of "val" or "test", read from the disk at each call."""
        return read_counts(self.folder, split, self.config["data"]["dataset"])

    @cached_property
    def overrides(self) -> tuple[str, ...] | None:
        """What differs from the present preset: () for nothing, None if no present preset gives this run."""
        return _overrides(self)

    @property
    def stale(self) -> str:
        """Why this run must not be reported, or "" if it may."""
        reasons = []
        if self.overrides is None:
            reasons.append("no present preset gives its configuration")
        if self.env.get("dirty") is not False:
            reasons.append("made from uncommitted code")
        return "; ".join(reasons)


def input_key(config: Mapping[str, Any]) -> str:
    """What decides the input of a run's frames, from its configuration as in config.json: HR size x scale."""
    data = config["data"]
    return f"{data['dataset']} {data['height']}x{data['width']} x {config['model']['input_scale']:g}"


def input_size(config: Mapping[str, Any]) -> str:
    """Height and width of the input of the network, such as "180x240", from a configuration as in config.json."""
    data, scale = config["data"], config["model"]["input_scale"]
    return f"{round(data['height'] * scale)}x{round(data['width'] * scale)}"


def load_runs(profile: str) -> list[Run]:
    """Complete runs of a profile by run id, without unfinished ones.

    Latencies of networks that were measured in turns are the medians of these, instead of what the run recorded.
    ValueError for an unknown profile; DamagedRunError names a bad file.
    """
    turns = read_turns(known_profile(profile))
    folders = sorted((results_dir() / profile / "runs").glob("*/"))
    found = [load_run(folder) for folder in folders if is_complete(folder)]
    return [_in_turns(run, turns[run.run_id]) if run.run_id in turns else run for run in found]


def _in_turns(run: Run, turns: Turns) -> Run:
    medians = {name: round(float(np.median(values)), 3) for name, values in turns.items()}
    return replace(run, metrics={**run.metrics, "cost": run.metrics["cost"] | medians})


def some_runs(profile: str) -> list[Run]:
    """`load_runs`, for a file that is written of them: ValueError if there are none."""
    if found := load_runs(profile):
        return found
    raise ValueError(f"profile {profile} has no complete run in {results_dir()}")


def select(runs: Iterable[Run], arm: str, host: str | None = None, overrides: Sequence[str] = ()) -> list[Run]:
    """Runs of an arm by seed, without those of the search. host: the first of the profile unless given.

    overrides: as for `preset`.
    """
    found = [
        run for run in runs
        if run.arm == arm
        and run.seed not in SEARCH_SEEDS
        and run.run_id == _run_id(run.profile, arm, host, run.seed, tuple(overrides))
    ]  # fmt: skip
    return sorted(found, key=lambda run: run.seed)


@cache
def _run_id(profile: str, arm: str, host: str | None, seed: int, overrides: tuple[str, ...]) -> str:
    return preset(profile, arm, host, seed, overrides).run_id


def counts_by_seed(runs: Sequence[Run], what: str = "counts") -> tuple[dict[int, np.ndarray], tuple[str, ...]]:
    """Counts on test of runs that differ in their seed, for `statistics.scores.score`, and the sequence of each image.

    what: "counts" for (I, K, 3), "trimap" for (I, bands, K, 3), "rings" for (I, bands + 1, K, 3).
    Raises ValueError if two runs share a seed or were evaluated on different images.
    """
    if len({run.seed for run in runs}) != len(runs):
        raise ValueError(f"runs with equal seeds: {', '.join(run.run_id for run in runs)}")
    loaded = {run.seed: run.counts("test") for run in runs}
    if len({counts.images for counts in loaded.values()}) > 1:
        raise ValueError(f"runs evaluated on different images: {', '.join(run.run_id for run in runs)}")
    sequences = next((counts.sequences for counts in loaded.values()), ())
    return {seed: getattr(counts, what) for seed, counts in loaded.items()}, sequences


def load_run(folder: Path) -> Run:
    """The complete run in a directory. DamagedRunError names a bad file."""

    try:
        config = read_config(folder / "config.json")  # that of another run is stale
        env, metrics = read_json(folder / "env.json", ENVIRONMENT), read_json(folder / "metrics.json", _COSTS)
    except OSError as error:
        raise DamagedRunError(f"{error.filename} cannot be read: {error}") from None
    except ValueError as error:  # names the file
        raise DamagedRunError(str(error)) from None
    if not folder.name.startswith(config.run_id.removesuffix(config.hash8)):
        raise DamagedRunError(f"{folder / 'config.json'} is not the configuration that named this directory")
    return Run(folder, config.to_dict(), env, metrics)


def _overrides(run: Run) -> tuple[str, ...] | None:
    try:
        config = Config.from_dict(run.config)
        choice: dict[str, Any] = {"profile": run.profile, "arm": run.arm, "host": run.host, "seed": run.seed}
        epochs = config.optim.epochs // ARMS[run.arm].updates
        longer = () if epochs == PROFILES[run.profile].base.optim.epochs else (f"optim.epochs={epochs}",)
        base = preset(**choice, overrides=longer).to_dict()  # other settings follow the epochs
        changed = {
            f"{section}.{key}": value
            for section, values in config.to_dict().items() if isinstance(values, Mapping)
            for key, value in values.items() if value != base[section][key]
        }  # fmt: skip
        items = tuple(sorted((*longer, *(f"{key}={value}" for key, value in changed.items()))))
        again = preset(**choice, overrides=items)
    except (KeyError, ValueError):
        return None
    return items if again == config and again.run_id == run.run_id else None
