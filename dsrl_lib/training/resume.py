"""Continue an interrupted run: exactly as it was, or as a new run with some settings changed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsrl_lib import runs
from dsrl_lib.config import Config
from dsrl_lib.overrides import key_and_value, override_all
from dsrl_lib.training import checkpoint
from dsrl_lib.training.fit import fit

FIXED = ("optim.batch_size", "optim.optimizer", "optim.momentum", "optim.nesterov", "optim.amsgrad",
         "optim.weight_decay", "optim.stage_epochs", "optim.sisr_warmup", "optim.precision", "loss.share_sisr",
         "loss.share_fa")  # fmt: skip
"""Settings that a checkpoint depends on; those of `data`, `model` and `downsampling` are fixed too."""


def resume(directory: Path, changes: Sequence[str] = (), **how: Any) -> Path:
    """Continue an interrupted run; return its directory. how: device, workers and the like (see `fit`).

    changes: "optim.lr=0.005" and the like, of the schedule and the loss weights. A changed run is a new one, whose
    configuration says which run it continues and from which step (`continues`); the old one stays as it is.
    ValueError if the run is complete, if config.json is no longer the one that named the directory, if there is no
    checkpoint to change from, or for a setting that cannot change.
    """
    if runs.is_complete(directory):
        raise ValueError(f"{directory.name} is complete: there is nothing to resume")
    config = runs.read_config(directory)
    if runs.folder(config).resolve() != directory.resolve():
        raise ValueError(f"{directory} is not in the results folder: set DSRL_RESULTS to the one that it is in")
    if changes:
        config = _branch(directory, config, changes)
    return fit(config, **how)


def _branch(directory: Path, config: Config, changes: Sequence[str]) -> Config:
    """Copy the checkpoint into the directory of the changed configuration, and return that."""
    if not checkpoint.exists(directory):
        raise ValueError(f"{directory.name} has no checkpoint yet: train it with the changed settings instead")
    for key, _ in map(key_and_value, changes):
        if key.startswith(("data.", "model.", "downsampling.")) or key in FIXED:
            raise ValueError(
                f"{key} cannot change in the middle of a run; allowed: settings of optim and loss but "
                f"{', '.join(FIXED)}"
            )
    changed = override_all(config, changes).checked()
    state = checkpoint.load(directory)
    if weights := state.get("weights"):
        free = [f"loss.{name}" for name in ("w1", "w2") if name not in weights]
        for key, _ in map(key_and_value, changes):
            if key.startswith("loss.") and key not in free:  # it would have another share with the same weights
                raise ValueError(f"{key} cannot change: {' and '.join(weights)} were calibrated to target shares with "
                                 f"this loss; allowed: {', '.join(['settings of optim', *free])}")  # fmt: skip
    done = len(state["history"]) + bool(state["sums"])  # the last one may have only begun
    if changed.optim.epochs < done:
        raise ValueError(f"optim.epochs = {changed.optim.epochs}; allowed: {done} or more, since {done} have begun")
    changed = replace(changed, continues=f"{config.run_id}@{state['step']}")
    target = runs.folder(changed)
    if not checkpoint.exists(target) and not runs.is_complete(target):
        with runs.acquire(target):
            runs.prepare(target, changed)
            checkpoint.save(target, state | {"config": changed.to_dict()})
    return changed
