"""Training over all the stages of an arm: its epochs, and its history from the first one."""

from collections.abc import Sequence

import pandas as pd

from dsrl_lib.config import Config
from study.catalogue import Run
from study.evidence import Study
from study.presets import epochs_until, parent_of


def histories(study: Study, arm: str) -> list[pd.DataFrame]:
    """history.csv of each seed of an arm, after those of the stages before it; epochs count from the first."""
    by_id = {run.run_id: run for run in study.runs}
    found = []
    for run in study.select(arm):
        stages = [run]
        while (parent := by_id.get(stages[0].config["warm_start"])) is not None and parent.trains_host:
            stages.insert(0, parent)
        before = total_epochs(run) - sum(stage.config["optim"]["epochs"] for stage in stages)
        found.append(one_after_the_other(stages, before))
    return found


def one_after_the_other(stages: Sequence[Run], before: int = 0) -> pd.DataFrame:
    """history.csv of stages as one; epochs count on, after `before` of them."""
    pieces = []
    for stage in stages:
        pieces.append(stage.history.assign(epoch=stage.history["epoch"] + before))
        before += stage.config["optim"]["epochs"]
    return pd.concat(pieces, ignore_index=True)


def total_epochs(run: Run) -> int:
    """Epochs of training that ended in this run, with those in which the runs before it trained the host."""
    config = Config.from_dict(run.config)
    return config.optim.epochs + epochs_until(parent_of(config))
