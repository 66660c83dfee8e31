"""Propagated against true labels: the table on disk, where texts and tests find it, and what it says (notebook 32)."""

from pathlib import Path

import pandas as pd

from dsrl_lib.paths import check_folder, results_dir
from dsrl_lib.records import write_atomically
from study.figures.notes import Answer


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


def propagation_answer(found: pd.DataFrame) -> Answer:
    """What is left after the fewest and the most steps, by composed flow and without motion. found: as above."""
    ends = found["steps"].min(), found["steps"].max()
    rows = found[found["motion"] == "composed"].set_index(["form", "steps"])["mIoU"]
    flow, still = (" and ".join(f"{rows[form, steps]:.0f} %" for steps in ends) for form in ("flow", "no motion"))
    return Answer(
        f"**mIoU of propagated against true labels after {ends[0]} and {ends[1]} steps: {flow} by composed flow, "
        f"{still} if the labels stay as they are.**"
    )
