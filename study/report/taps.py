"""Tables of `study.probe` and `study.branches` in a notebook: what can be read of the image from each map of the
encoder, and what a trained SISR branch takes from them."""

import numpy as np
import pandas as pd

from dsrl_lib.paths import results_dir
from study.evidence import Study
from study.figures.notes import Note
from study.report.readable import readable

FILE = "tables/taps.csv"
"""In results/<profile>: what `study.probe` writes."""
BRANCHES = "tables/branches.csv"
"""What `study.branches` writes, a row per run."""
RUN = "run"
OWN, OTHER, BICUBIC = "with its maps", "with the maps of another frame", "bicubic upsampling"
"""Columns of BRANCHES: PSNR in dB."""


def tap_table(study: Study) -> Note:
    """One row per map and per interpolation, as they were measured, and the trained branches of the profile."""
    path = results_dir() / study.profile / FILE
    if not path.exists():
        return Note(f"Not measured: `python -m study probe --profile {study.profile}` does it.")
    table = pd.read_csv(path, index_col=0)[["numbers", "PSNR (dB)", "SSIM"]]
    for arm in ("dsrl", "dsrl_res"):
        found = [(run.metrics["val"].get("psnr"), run.metrics["val"].get("ssim")) for run in study.select(arm)]
        if found and all(psnr is not None for psnr, _ in found):
            psnr, ssim = np.mean(found, axis=0)
            table.loc[f"the trained SISR branch of {arm}, all frames"] = [0, psnr, ssim]
    table["numbers"] = [f"{number:.0f}" if number else "" for number in table["numbers"]]
    return Note.table(readable(table))


def branch_table(study: Study) -> Note:
    """What SISR branches restore with the encoder's maps of a frame, and with those of another one, on val, in dB."""
    path = results_dir() / study.profile / BRANCHES
    if not path.exists():
        return Note(f"Not measured: `python -m study branches --profile {study.profile} --arm dsrl_res` does it.")
    table = pd.read_csv(path, index_col=RUN)
    arms = {run.run_id: run.arm for run in study.runs}
    table.index = [arms.get(run_id, run_id) for run_id in table.index]
    return Note.table(readable(table.rename_axis("SISR branch of").rename(columns="{} (dB)".format)))
