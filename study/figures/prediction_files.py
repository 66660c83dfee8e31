"""The pictures that `predict` wrote, beside the truth, and the figures of several reports (51_inference)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.images import read_picture
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.report import Report
from study.figures import panels
from study.figures.example_panels import QUALITY
from study.figures.notes import Note
from study.figures.photo import Photo


def written_predictions(out: Path, dataset: str) -> Photo:
    """Overlay, truth, prediction and errors of two validation frames, read back from the folders of `predict`."""
    split, table = load_split(dataset, "val"), class_table(dataset)
    rows = []
    for index in (0, len(split) // 2):
        name = split.names[index]
        shown = read_picture(out / "rgb" / f"{name}.png")  # (H, W, 3)
        classes = (shown[:, :, None] == np.array(table.colours)).all(-1).argmax(-1)  # (H, W)
        overlay = read_picture(out / "compose" / f"{name}.png")
        rows.append(panels.Prediction(name, overlay, split.labels[index], classes))
    return Photo(panels.predictions(rows, table), QUALITY)


def report_table(reports: Mapping[str, Report]) -> Note:
    """The overall figures of reports in points, one row each."""
    if not reports:
        return Note("No weights.")
    overall = pd.DataFrame({name: report.overall for name, report in reports.items()}).T
    points = (100 * overall).assign(**{"cross entropy": overall["cross entropy"]})
    shown = points.rename(columns={"cross entropy": "cross entropy (nats)"}).map("{:.2f}".format)
    return Note.table(shown.rename_axis("augmentation"))
