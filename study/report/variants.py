"""Comparisons at other hosts and starts (`Profile.variants`), and whether training had flattened there."""

import pandas as pd

from study.claims.rules import load_rules
from study.evidence import Pair, Study, total_epochs
from study.figures.notes import Note
from study.profiles import PROFILES
from study.report import tables
from study.report.readable import readable


def variant_pairs(profile: str) -> list[Pair]:
    """`tables.PARTS` for each variant that the table of differences leaves out."""
    shown = {arm.partition("@")[2] for pair in tables.MAIN_PAIRS for arm in pair}
    return [
        (f"{a}@{name}", f"{b}@{name}")
        for name, variant in PROFILES[profile].variants.items() if name not in shown
        for a, b in tables.PARTS if {a, b} <= set(variant.arm_seeds)
    ]  # fmt: skip


def variant_table(study: Study) -> Note:
    """One row per pair: difference with interval and by seed; blank if not run."""
    found = tables.differences(study, variant_pairs(study.profile))
    return Note.table(readable(found)) if len(found) else Note("This profile has no other host or start.")


def flattening_table(study: Study) -> Note:
    """Validation mIoU after two thirds of the training and at its end, one row per arm that `variant_pairs` names.

    Training has flattened if the last third gains less than the smallest effect of interest, on the mean over seeds.
    """
    rows = []
    for arm in dict.fromkeys(arm for pair in variant_pairs(study.profile) for arm in pair):
        curves = [history.dropna(subset="val_miou").set_index("epoch")["val_miou"] for history in study.histories(arm)]
        if not curves:
            rows.append({"arm": arm, "flat?": "not run"})
            continue
        epochs = total_epochs(study.select(arm)[0])
        before = [100 * curve[curve.index >= 2 * epochs / 3].iloc[0] for curve in curves]
        after = [100 * curve.iloc[-1] for curve in curves]
        gain = sum(after) / len(after) - sum(before) / len(before)
        rows.append({
            "arm": arm,
            "epochs": str(epochs),
            "val mIoU after two thirds": f"{sum(before) / len(before):.2f}",
            "at the end": f"{sum(after) / len(after):.2f}",
            "gain": f"{gain:+.2f}".replace("-", "−"),
            "flat?": "yes" if gain < load_rules().interest else "no, still rising",
        })  # fmt: skip
    return Note.table(pd.DataFrame(rows).fillna("")) if rows else Note("This profile has no other host or start.")
