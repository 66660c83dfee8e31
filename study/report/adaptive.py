"""What the auxiliary network of adaptive downsampling has learned, from the runs that trained it."""

import pandas as pd

from study.evidence import Study
from study.figures.notes import Note


def location_error_table(study: Study) -> Note:
    """Root mean square error of predicted and of uniform locations by run and split, in percent of a frame's sides."""
    rows = {}
    for run in study.select("locations"):
        for split in ("val", "test"):
            scores = run.metrics[split]
            rows[f"seed {run.seed}, {split}"] = {
                "predicted": f"{100 * scores['location_error']:.2f}",
                "uniform": f"{100 * scores['location_error_uniform']:.2f}",
            }
    if not rows:
        command = f"python -m study train --profile {study.profile} --arm locations"
        return Note(f"**Not run:** `{command}` trains the auxiliary network.")
    return Note.table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("run"))
