"""What trained networks of adaptive downsampling lose at other locations than those of the frame (notebook 33)."""

from collections.abc import Sequence

import pandas as pd

from dsrl_lib.config import Config
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.deploy.pretrained import from_pretrained
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.models.downsampling.downsampler import Downsampler
from dsrl_lib.models.downsampling.from_labels import mean_locations
from dsrl_lib.overrides import override
from study.catalogue import Run
from study.figures.notes import Note


def other_locations_table(runs: Sequence[Run], test: Split, mean_grid: bool = False) -> Note:
    """mIoU of trained networks at the locations of the frame, and the change at those of another frame, in points.

    One row per run whose weights are there, and the mean of each arm. mean_grid: also the change at one grid for all,
    the mean over the training frames. Nothing is trained.
    """
    trained = [run for run in runs if (run.folder / "final.safetensors").exists()]
    if not trained:
        return Note("**Not shown:** the weights of these runs are not here, since weights are not in git.")
    if mean_grid:
        first = Config.from_dict(trained[0].config)
        grid = mean_locations(load_split(first.data.dataset, "train").labels, first.downsampling)  # (n, m, 2)
    rows = []
    for run in trained:
        model, config = from_pretrained(run.folder)
        own = run.metrics["test"]["miou"]
        swapped = evaluate(model, test, override(config, "downsampling.swapped", True), details=False)
        row = {"arm": run.arm, "seed": run.seed, "own locations": 100 * own}
        row["those of another frame"] = 100 * (swapped.miou - own)
        if mean_grid:
            of_all = override(config, "downsampling.locations", "mean")
            model.downsampling = Downsampler(of_all.downsampling, config.model.input_scale)
            model.downsampling.load_state_dict({"fixed": grid})
            row["the mean grid"] = 100 * (evaluate(model, test, of_all, details=False).miou - own)
        rows.append(row)
    parts = []
    for _, found in pd.DataFrame(rows).groupby("arm", sort=False):
        parts += [found, found.mean(numeric_only=True).to_frame().T.assign(arm=found["arm"].iloc[0], seed="mean")]
    table = pd.concat(parts)
    for name in table.columns[2:]:
        sign = "" if name == "own locations" else "+"
        table[name] = [f"{value:{sign}.2f}".replace("-", "−") for value in table[name]]
    return Note.table(table)
