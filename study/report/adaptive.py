"""What the auxiliary network of adaptive downsampling has learned, from the runs that trained it."""

from collections.abc import Mapping

import pandas as pd

from study.evidence import Study
from study.figures.notes import Note


def location_error_table(study: Study, mean: Mapping[str, Mapping[str, float]]) -> Note:
    """Root mean square error of locations by run and split, in percent of a frame's sides: predicted, mean and uniform.

    mean: by arm, such as "locations" or a variant of it, and split, the error of the mean grid of the training frames
    (`dsrl_lib.mean_grid_errors`), as a share.
    """
    rows = {}
    for run, of_mean in ((run, errors) for arm, errors in mean.items() for run in study.select(arm)):
        grid = run.config["downsampling"]
        for split in ("val", "test"):
            scores = run.metrics[split]
            rows[f"{grid['rows']} x {grid['columns']}, seed {run.seed}, {split}"] = {
                "predicted": f"{100 * scores['location_error']:.2f}",
                "mean of train": f"{100 * of_mean[split]:.2f}",
                "uniform": f"{100 * scores['location_error_uniform']:.2f}",
            }
    if not rows:
        command = f"python -m study train --profile {study.profile} --arm locations"
        return Note(f"**Not run:** `{command}` trains the auxiliary network.")
    return Note.table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("run"))
