"""The stages of a run, from the first to the run itself: the tables of a training notebook."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dsrl_lib import runs
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.metrics import iou
from study.catalogue import SPLITS, Run, load_run
from study.figures.notes import Note
from study.figures.plots import training_curves
from study.report.histories import one_after_the_other
from study.report.readable import readable
from study.report.reconstruction import interpolations, restored
from study.report.results import results_frame

BICUBIC = "val_psnr_bicubic"
"""Column of a history: what bicubic upsampling of the input reaches, the same at every epoch."""
SHOWN = {
    "arm": "arm", "seed": "seed", "input": "input", "epochs": "epochs", "val_miou": "val mIoU",
    "test_miou": "test mIoU", "test_psnr": "test PSNR (dB)", "test_psnr_bicubic": "test PSNR (dB), bicubic",
    "test_ssim": "test SSIM", "train_minutes": "minutes of training",
}  # fmt: skip
"""Column -> its heading in `stage_table`."""


def stages_of(directory: Path) -> list[Run]:
    """The complete runs from the first stage to the one in `directory`; those with a SISR branch know BICUBIC."""
    folders = [directory.parent / config.run_id for config in runs.chain(directory)]
    stages = [load_run(folder) for folder in folders if runs.is_complete(folder)]
    for stage in stages:
        if (bicubic := _bicubic(stage, "val")) is not None:
            stage.history[BICUBIC] = bicubic
    return stages


def stage_table(stages: Sequence[Run]) -> Note:
    """One row per stage: mIoU in points; PSNR (dB) and SSIM of the reconstruction, if there is one.

    Beside it the PSNR of bicubic upsampling of the input, which a SISR branch has to beat.
    """
    table = results_frame(stages)
    table["test_psnr_bicubic"] = [_bicubic(stage, "test") for stage in stages]
    table["train_minutes"] = table["train_seconds"] / 60
    return Note.table(readable(table[list(SHOWN)].dropna(axis=1, how="all").rename(columns=SHOWN).set_index("arm")))


def stage_curves(stages: Sequence[Run]) -> Figure:
    """The training of all stages, one after the other."""
    return training_curves(one_after_the_other(stages), stages[-1].run_id)


def iou_by_class(stages: Sequence[Run]) -> pd.DataFrame:
    """IoU in points by class, one column per stage and split; NaN for a class that is neither shown nor predicted."""
    points = {
        (stage.arm, split): 100 * iou(stage.counts(split).counts.sum(0, dtype=np.int64))
        for stage in stages for split in SPLITS
    }  # fmt: skip
    return pd.DataFrame(points, index=class_table(stages[-1].config["data"]["dataset"]).classes).round(1)


def _bicubic(stage: Run, split: str) -> float | None:
    """PSNR of bicubic upsampling; None for a run without a SISR branch, or if nothing recorded it."""
    found = restored(stage, split, interpolations(stage.config["profile"]))
    return found.get("psnr_bicubic") if found.get("psnr") is not None else None
