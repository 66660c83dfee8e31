"""What the auxiliary network of adaptive downsampling has learned, from the runs that trained it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from study.evidence import Study
from study.figures.notes import Note


def location_error_table(study: Study, mean: Mapping[str, Mapping[str, float]]) -> Note:
    """Root mean square error of locations by grid and split: predicted (mean and range over seeds), mean and uniform.

    mean: by arm, such as "locations" or a variant of it, and split, the error of the mean grid of the training frames
    (`dsrl_lib.mean_grid_errors`), as a share.
    """
    rows = []
    for runs, of_mean in ((runs, errors) for arm, errors in mean.items() if (runs := study.select(arm))):
        grid = runs[0].config["downsampling"]
        for split in ("val", "test"):
            predicted = [100 * run.metrics[split]["location_error"] for run in runs]
            uniform = 100 * runs[0].metrics[split]["location_error_uniform"]
            rows.append({
                "grid": f"{grid['rows']} x {grid['columns']}",
                "split": split,
                "seeds": len(runs),
                "predicted (% of a side)": f"{np.mean(predicted):.2f} ({min(predicted):.2f} to {max(predicted):.2f})",
                "mean grid (% of a side)": f"{100 * of_mean[split]:.2f}",
                "uniform grid (% of a side)": f"{uniform:.2f}",
            })  # fmt: skip
    if not rows:
        command = f"python -m study train --profile {study.profile} --arm locations"
        return Note(f"**Not run:** `{command}` trains the auxiliary network.")
    return Note.table(pd.DataFrame(rows))
