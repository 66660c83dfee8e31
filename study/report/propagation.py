"""The table of propagated against true labels on disk, where texts and tests find it (notebook 32)."""

from pathlib import Path

import pandas as pd

from dsrl_lib.paths import check_folder, results_dir
from dsrl_lib.records import write_atomically


def write_propagation(profile: str, found: pd.DataFrame) -> Path:
    """Write results/<profile>/propagation.csv. found: rows of `dsrl_lib.propagation_quality`, with a column `motion`.

    OSError if it cannot be written.
    """
    folder = results_dir() / profile
    check_folder(folder, "DSRL_RESULTS")
    folder.mkdir(parents=True, exist_ok=True)
    text = found.to_csv(index=False, float_format="%.3f", lineterminator="\n")
    write_atomically(folder / "propagation.csv", lambda temporary: temporary.write_text(text))
    return folder / "propagation.csv"
