"""Where a run begins: at its newest checkpoint, at the weights of a run or a file, or at its initial weights."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import Any

from dsrl_lib import distributed, network, runs
from dsrl_lib.config import Config
from dsrl_lib.losses.criterion import strict_classes
from dsrl_lib.models.downsampling.from_labels import target_classes
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.records import write_json
from dsrl_lib.training import checkpoint
from dsrl_lib.training.schedule import epochs_before, schedule_epochs
from dsrl_lib.training.start import Started, kept_weights, start_from
from dsrl_lib.training.state import RunState


def check_beginning(config: Config, directory: Path) -> DSRL | None:
    """FileNotFoundError or ValueError for weights that are missing or do not fit, and for settings that do not fit the
    network, its classes or the schedule. Returns the network that the run begins with; None if it continues.

    Called before the data are read, which takes long.
    """
    if checkpoint.exists(directory):
        return None
    if config.continues is not None:
        before = config.continues.partition("@")[0]
        raise FileNotFoundError(
            f"{config.run_id} continues {config.continues}, and its checkpoint is not in {directory}: make it "
            f"again with `python -m dsrl_lib resume {before} --set ...`"
        )
    if config.warm_start is not None:
        runs.start_weights(config, config.warm_start)
    model = network.build(config)
    strict_classes(config.loss, model.host.classes)
    target_classes(config.downsampling, model.host.classes)
    schedule_epochs(config, epochs_before(config))
    if (file := kept_weights(config)) is not None:
        start_from(model, file, config)
    return model


def continue_or_start(state: RunState, directory: Path) -> None:
    """Continue from the newest checkpoint that can be read, or start the run."""
    config = state.config
    if checkpoint.exists(directory):
        saved = checkpoint.load(directory)
        if not _is_of(saved["config"], config):
            raise ValueError(
                f"the checkpoint in {directory} belongs to another configuration; delete it to start the run again"
            )
        try:
            state.load_state_dict(saved)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = shorten(str(error), 200)  # it may list every tensor
            raise ValueError(
                f"the checkpoint in {directory} does not fit this run ({reason}); delete it to start the run again"
            ) from error
    elif (started := start(state)) and distributed.rank() == 0:
        write_json(directory / "start.json", asdict(started))
        print(started, file=sys.stderr, flush=True)


def _is_of(saved: Mapping[str, Any], config: Config) -> bool:
    try:
        return Config.from_dict(saved) == config
    except ValueError:  # no configuration at all
        return False


def start(state: RunState) -> Started | None:
    """Put a new state where its run begins: at the weights of the run or the file that the configuration names, if it
    names one. Returns what a file gave."""
    config = state.config
    if (file := kept_weights(config)) is not None:
        return start_from(state.network, file, config)
    if config.warm_start is not None:
        weights = runs.start_weights(config, config.warm_start)
        state.epochs_before = epochs_before(config)
        network.warm_start(state.network, weights, config.warm_start)
    return None
