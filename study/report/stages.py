"""The stages of a run, from the first to the run itself: the tables of a training notebook."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dsrl_lib import runs
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.metrics import iou
from study.catalogue import SPLITS, Run, load_run
from study.report.results import results_frame

SHOWN = ("arm", "seed", "input", "epochs", "val_miou", "test_miou", "test_psnr", "test_ssim", "train_seconds")


def stages_of(directory: Path) -> list[Run]:
    """The complete runs from the first stage to the one in `directory`."""
    folders = [directory.parent / config.run_id for config in runs.chain(directory)]
    return [load_run(folder) for folder in folders if runs.is_complete(folder)]


def stage_table(stages: Sequence[Run]) -> pd.DataFrame:
    """One row per stage: mIoU in points; PSNR (dB) and SSIM of the reconstruction, if there is one."""
    return results_frame(stages)[list(SHOWN)].dropna(axis=1, how="all").set_index("arm").round(2)


def iou_by_class(stages: Sequence[Run]) -> pd.DataFrame:
    """IoU in points by class, one column per stage and split; NaN for a class that is neither shown nor predicted."""
    points = {
        (stage.arm, split): 100 * iou(stage.counts(split).counts.sum(0, dtype=np.int64))
        for stage in stages for split in SPLITS
    }  # fmt: skip
    return pd.DataFrame(points, index=class_table(stages[-1].config["data"]["dataset"]).classes).round(1)
