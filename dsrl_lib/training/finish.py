"""What a finished run leaves: weights, counts, where and with what it ran, scores and costs; metrics.json last."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsrl_lib import network, runs
from dsrl_lib.config import Config
from dsrl_lib.data.split import Split
from dsrl_lib.evaluation import cost
from dsrl_lib.evaluation.evaluate import Evaluation
from dsrl_lib.evaluation.interpolation import interpolation_quality
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.records import write_json
from dsrl_lib.training import checkpoint
from dsrl_lib.training.loop import NonFiniteLossError
from dsrl_lib.training.machine import devices_name


def finish(
    directory: Path,
    model: DSRL,
    config: Config,
    evaluations: Mapping[str, Evaluation],
    environment: Mapping[str, Any],
    splits: Mapping[str, Split],
) -> None:
    """Complete a run directory. evaluations: by split. environment: what env.json says in addition to the device.
    splits: the evaluated ones, for what interpolation restores of them. NonFiniteLossError if the outputs are no
    numbers: such a run is not completed."""
    for split, evaluation in evaluations.items():
        if not np.isfinite(evaluation.nll).all():  # the loss of a step is that before it: the last one has none
            raise NonFiniteLossError(
                f"{config.run_id}: after its last step the network gives no finite cross entropy on {split}; the run "
                "has diverged: train it with a lower optim.lr"
            )
    network.save(model, config, directory / runs.WEIGHTS)
    for split, evaluation in evaluations.items():
        runs.write_counts(directory / f"counts_{split}.npz", evaluation.arrays())
    metrics: dict[str, Any] = {split: evaluation.summary() for split, evaluation in evaluations.items()}
    for split in evaluations if config.model.sisr else ():
        metrics[split] |= interpolation_quality(splits[split], config)
    metrics["cost"] = cost.measure(model, config)
    where = next(model.parameters()).device
    ran_on = {
        "device": devices_name(where),
        "threads": torch.get_num_threads(),
        "peak_memory_mib": cost.peak_memory_mib(where),
    }
    write_json(directory / "env.json", {**environment, **ran_on})
    write_json(directory / "metrics.json", metrics)
    checkpoint.delete(directory)
