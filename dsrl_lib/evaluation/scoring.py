"""Score any weights on any split, in any view, with every figure that the earlier systems report."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from dsrl_lib import metrics
from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.evaluation.evaluate import OBJECT_PX, TRIMAP_PX, Evaluation, object_recall, trimap_counts
from dsrl_lib.evaluation.tta import scores
from dsrl_lib.evaluation.view import View
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.runs import write_atomically, write_counts, write_json


@dataclass(frozen=True)
class Scored:
    """One pass over a split."""

    evaluation: Evaluation
    cross_entropy: float
    """Mean over all labelled pixels, nats."""
    classes: tuple[str, ...]

    @property
    def by_class(self) -> pd.DataFrame:
        """A row a class: IoU, precision and recall (NaN where undefined), true and false positives, false negatives."""
        hits, wrong, missed = self.evaluation.counts.sum(0, dtype=np.int64).T  # (K,) each
        with np.errstate(invalid="ignore"):
            columns = {
                "IoU": hits / (hits + wrong + missed), "precision": hits / (hits + wrong),
                "recall": hits / (hits + missed), "TP": hits, "FP": wrong, "FN": missed,
            }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(self.classes, name="class"))

    @property
    def overall(self) -> dict[str, float]:
        """mIoU, frequency-weighted IoU, pixel accuracy, cross entropy, and mIoU within each trimap band."""
        table = self.by_class
        share = (table["TP"] + table["FN"]) / (table["TP"] + table["FN"]).sum()
        bands = self.evaluation.trimap.sum(0, dtype=np.int64)  # (bands, K, 3)
        return {
            "mIoU": float(table["IoU"].mean()),
            "fwIoU": float((share * table["IoU"]).sum()),
            "pixel accuracy": float(table["TP"].sum() / (table["TP"] + table["FN"]).sum()),
            "cross entropy": self.cross_entropy,
            **{f"mIoU within {px} px": float(np.nanmean(metrics.iou(band)))
               for px, band in zip(TRIMAP_PX, bands, strict=True)},
        }  # fmt: skip


def score_split(
    model: DSRL, config: Config, dataset: str, split: str, view: View | None = None, progress: bool = True
) -> Scored:
    """Score a network on a split at the ORIGINAL label size. DataError where their classes differ."""
    own, theirs = class_table(config.data.dataset), class_table(dataset)
    if own.classes != theirs.classes:
        raise DataError(f"the network has the {len(own.classes)} classes of {own.name}, not those of {dataset}")
    loaded, classes = load_split(dataset, split), len(own.classes)
    rows: dict[str, list[np.ndarray]] = {"counts": [], "trimap": []}
    recall, loss, pixels = np.zeros((classes, len(OBJECT_PX) + 1, 2), np.int64), 0.0, 0
    view = view or View()
    for image, label in tqdm(_frames(loaded), "evaluate", len(loaded), unit=" images", disable=not progress):
        found = scores(model.eval(), image, config, view)  # (K, H, W)
        if found.shape[1:] != label.shape:
            raise DataError(f"an image of {tuple(found.shape[1:])} has a label map of {label.shape}")
        prediction = found.argmax(0).numpy().astype(np.uint8)
        logs = found.clamp_min(1e-12).log() if view.average == "probabilities" else found.log_softmax(0)
        known = label != metrics.VOID
        loss -= logs.gather(0, torch.from_numpy(np.where(known, label, 0)).long()[None])[0][known].double().sum().item()
        pixels += int(known.sum())
        rows["counts"].append(metrics.counts(prediction, label, classes))
        rows["trimap"].append(trimap_counts(prediction, label, classes))
        recall += object_recall(prediction, label, classes)
    nothing = np.full(len(loaded), np.nan)
    evaluation = Evaluation(
        list(loaded.names), list(loaded.sequences), np.stack(rows["counts"]), np.stack(rows["trimap"]), recall,
        nothing, nothing,
    )  # fmt: skip
    return Scored(evaluation, loss / max(pixels, 1), own.classes)


def write_scores(scored: Scored, out: Path, source: dict[str, object], view: View) -> str:
    """Write scores.json, scores.csv, scores.txt and counts.npz to `out`; return the text.

    source: what was scored, for the record (weights, data set, split).
    """
    out.mkdir(parents=True, exist_ok=True)
    overall = scored.overall
    lines = [*(f"{name}: {value}" for name, value in (source | asdict(view)).items()), ""]
    lines += [f"{name:22}{100 * value:8.2f} %" if name != "cross entropy" else f"{name:22}{value:8.4f}"
              for name, value in overall.items()]  # fmt: skip
    shown = scored.by_class.assign(**{name: 100 * scored.by_class[name] for name in ("IoU", "precision", "recall")})
    lines += ["", shown.to_string(float_format=lambda value: f"{value:.2f}", na_rep="-")]
    text = "\n".join(lines) + "\n"
    write_json(out / "scores.json", {"source": source, "view": asdict(view), "overall": overall,
                                     "classes": json.loads(scored.by_class.to_json(orient="index"))})  # fmt: skip
    table = scored.by_class.to_csv(float_format="%.6f", lineterminator="\n")
    write_atomically(out / "scores.csv", lambda temporary: temporary.write_text(table))
    write_atomically(out / "scores.txt", lambda temporary: temporary.write_text(text))
    write_counts(out / "counts.npz", scored.evaluation.arrays())
    return text


def _frames(split: Split):
    return zip(split.images, split.labels, strict=True)
