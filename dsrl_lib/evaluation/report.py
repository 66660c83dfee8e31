"""Every figure that the earlier systems report about a split: by class and overall, as tables and files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from dsrl_lib import metrics
from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.details import TRIMAP_PX
from dsrl_lib.evaluation.evaluate import Evaluation, check_frames, evaluate
from dsrl_lib.evaluation.forward import check_classes
from dsrl_lib.paths import check_folder
from dsrl_lib.records import read_json, write_atomically, write_json
from dsrl_lib.runs import write_counts

FILES = ("scores.json", "scores.csv", "scores.txt", "counts.npz")
"""What `write_report` writes, in this order."""
RECORD = {"source": dict, "tta": dict, "overall": dict, "classes": dict}
"""What scores.json holds (`allowed.check_fields`)."""


@dataclass(frozen=True)
class Report:
    """The figures of one pass over a split."""

    evaluation: Evaluation
    classes: tuple[str, ...]

    @property
    def by_class(self) -> pd.DataFrame:
        """One row per class: IoU, precision and recall (NaN if undefined), and its TP, FP and FN pixels."""
        hits, wrong, missed = self.evaluation.counts.sum(0, dtype=np.int64).T  # (K,) each
        with np.errstate(invalid="ignore"):
            columns = {
                "IoU": hits / (hits + wrong + missed), "precision": hits / (hits + wrong),
                "recall": hits / (hits + missed), "TP": hits, "FP": wrong, "FN": missed,
            }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(self.classes, name="class"))

    @property
    def overall(self) -> dict[str, float]:
        """mIoU, frequency-weighted IoU, pixel accuracy, cross entropy (nats), and mIoU within each trimap band."""
        table = self.by_class
        share = (table["TP"] + table["FN"]) / (table["TP"] + table["FN"]).sum()
        bands = self.evaluation.trimap.sum(0, dtype=np.int64)  # (bands, K, 3)
        return {
            "mIoU": float(table["IoU"].mean()),
            "fwIoU": float((share * table["IoU"]).sum()),
            "pixel accuracy": float(table["TP"].sum() / (table["TP"] + table["FN"]).sum()),
            "cross entropy": self.evaluation.cross_entropy,
            **{f"mIoU within {px} px": metrics.miou(band[None])
               for px, band in zip(TRIMAP_PX, bands, strict=True)},
        }  # fmt: skip


def split_report(
    model: nn.Module,
    config: Config,
    dataset: str,
    split: str,
    tta: TTA | None = None,
    progress: bool = True,
    workers: int = 0,
) -> Report:
    """Evaluate a network on `split` of `dataset`. tta, workers: see `evaluate`.

    DataError if its classes differ from those of `config`, and for a frame that the network cannot take, or that is
    larger than the memory; ValueError if it has another number of classes; RuntimeError if it gives no finite numbers.
    """
    own, theirs = class_table(config.data.dataset), class_table(dataset)
    if own.classes != theirs.classes:
        raise DataError(f"the network has the {len(own.classes)} classes of {own.name}, not those of {dataset}")
    check_classes(model, config)
    loaded = load_split(dataset, split)
    check_frames(loaded, config, next(model.parameters()).device, (tta or TTA()).scales)  # before the first is scored
    found = evaluate(model, loaded, config, tta=tta, workers=workers, progress=progress)
    if not np.isfinite(found.nll).all():
        name = found.names[int(np.flatnonzero(~np.isfinite(found.nll))[0])]
        raise RuntimeError(f"the network gives no finite numbers for frame {name} of {dataset} {split}")
    return Report(found, own.classes)


def check_out(out: Path) -> None:
    """OSError unless `out` is a folder for `write_report`, in which only files of an earlier report are replaced."""
    check_folder(out, "out")
    if there := [name for name in FILES if (out / name).exists()]:
        try:
            read_json(out / FILES[0], RECORD)
        except (OSError, ValueError):
            raise FileExistsError(f"out = {out} holds a file {there[0]} that no earlier call wrote, which would be "
                                  "lost; give another folder") from None  # fmt: skip


def write_report(report: Report, out: Path, source: dict[str, object], tta: TTA) -> None:
    """Write scores.json, scores.csv, scores.txt (`report_text`) and counts.npz to `out`.

    source: what was evaluated, for the record (weights, data set, split).
    """
    out.mkdir(parents=True, exist_ok=True)
    text = report_text(report, source, tta)
    write_json(out / "scores.json", {"source": source, "tta": asdict(tta), "overall": report.overall,
                                     "classes": json.loads(report.by_class.to_json(orient="index"))})  # fmt: skip
    table = report.by_class.to_csv(float_format="%.6f", lineterminator="\n")
    write_atomically(out / "scores.csv", lambda temporary: temporary.write_text(table, "utf-8"))
    write_atomically(out / "scores.txt", lambda temporary: temporary.write_text(text, "utf-8"))
    write_counts(out / "counts.npz", report.evaluation.arrays())


def report_text(report: Report, source: dict[str, object], tta: TTA) -> str:
    """The scores for people to read; source as in `write_report`."""
    lines = [*(f"{name}: {value}" for name, value in (source | asdict(tta)).items()), ""]
    lines += [f"{name:22}{100 * value:8.2f} %" if name != "cross entropy" else f"{name:22}{value:8.4f}"
              for name, value in report.overall.items()]  # fmt: skip
    shares = {name: 100 * report.by_class[name] for name in ("IoU", "precision", "recall")}
    table = report.by_class.assign(**shares).to_string(float_format=lambda value: f"{value:.2f}", na_rep="-")
    return "\n".join([*lines, "", table]) + "\n"
