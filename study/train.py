"""Train a run of the study, and before it the runs that it starts from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsrl_lib import runs
from dsrl_lib.config import Config
from dsrl_lib.training import checkpoint
from dsrl_lib.training.fit import fit
from dsrl_lib.training.machine import check_machine, check_options
from dsrl_lib.training.schedule import schedule_epochs
from study.presets import epochs_until, parent_of, preset


def train_arm(
    profile: str, arm: str, host: str | None = None, seed: int = 0, overrides: Sequence[str] = (), **how: Any
) -> Path:
    """Train one arm and the stages before it; return its run directory. A complete run is returned at once.

    overrides: "section.key=value" strings (see `preset`). how: device, workers, devices and progress (see `fit`).
    """
    return train_with_parents(preset(profile, arm, host, seed, overrides), **how)


def train_with_parents(config: Config, **how: Any) -> Path:
    """Train the run of `config`, and first those that it starts from if they are missing; return its directory.

    ValueError if a directory holds another run than the one that was planned, and before the first training if this
    machine cannot train all of them, or if the table of arms has changed since `config` was made, and now plans another
    start. how: see `fit`.
    """
    check_plan(config, **how)
    for stage in _stages(config):
        runs.read_config(fit(stage, **how))  # that of another run in its directory is an error
    return runs.folder(config)


def check_plan(
    config: Config, *, device: str = "auto", workers: int | None = None, devices: int = 1, keep_last: int = 0, **_: Any
) -> None:
    """ValueError if the run of `config`, or one that is to be trained before it, cannot be trained on this machine, or
    for an option of `fit` that no run can have."""
    check_options(workers=workers, devices=devices, keep_last=keep_last)
    for stage in _stages(config):
        if not runs.is_complete(runs.folder(stage)):
            check_machine(stage, device=device, workers=workers, devices=devices)


def _stages(config: Config) -> list[Config]:
    """The run of `config`, after those that it starts from, unless it is complete or has begun."""
    directory = runs.folder(config)
    if config.warm_start is None or runs.is_complete(directory) or checkpoint.exists(directory):
        return [config]
    parent = _planned_parent(config)
    schedule_epochs(config, epochs_until(parent))  # a mistake shows before the parents are trained
    return [*_stages(parent), config]


def _planned_parent(config: Config) -> Config:
    parent = parent_of(config)
    if parent is None or parent.run_id != config.warm_start:
        planned = parent.run_id if parent else None
        raise ValueError(
            f"{config.run_id} starts from {config.warm_start}, but the table of arms now plans {planned} for arm "
            f"{config.arm!r}: make the configuration again, or train {config.warm_start} from its own config.json"
        )
    return parent
