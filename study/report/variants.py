"""Comparisons of variants (`Profile.variants`), and whether the training of each arm had flattened."""

import pandas as pd

from study.arms import ARMS
from study.claims.rules import load_rules
from study.evidence import Pair, Study
from study.figures.notes import Note
from study.profiles import PROFILES
from study.report import tables
from study.report.comparison import FULL_LENGTH
from study.report.histories import histories, total_epochs
from study.report.readable import readable

FLATTENING = ("arm", "epochs", "val mIoU after two thirds", "at the end", "gain", "flat?")
"""Columns of `flattening_table`."""


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
    return Note.table(readable(found)) if len(found) else Note("This profile has no variants beside those above.")


def flattening_table(study: Study) -> Note:
    """Validation mIoU after two thirds of the training and at its end, one row per arm: FULL_LENGTH, and all variants.

    Training has flattened if the last third gains less than the smallest effect of interest, on the mean over seeds.
    Runs that were not validated between two and three quarters of their epochs cannot say.
    """
    variants = [
        arm for arm in PROFILES[study.profile].variant_arms
        if ARMS[arm.partition("@")[0]].changes.get("downsampling.stage") != "locations"  # it trains no host
    ]  # fmt: skip
    rows = [_flattening(study, arm) for arm in (*(arm for arm in FULL_LENGTH if arm in study.arms), *variants)]
    return Note.table(pd.DataFrame(rows, columns=FLATTENING).fillna("")) if rows else Note("No runs.")


def _flattening(study: Study, arm: str) -> dict[str, str]:
    curves = [history.dropna(subset="val_miou").set_index("epoch")["val_miou"] for history in histories(study, arm)]
    if not curves:
        return {"arm": arm, "flat?": "not run"}
    epochs = total_epochs(study.select(arm)[0])
    middle = [curve[(curve.index >= 2 * epochs / 3) & (curve.index <= 3 * epochs / 4)] for curve in curves]
    if any(part.empty for part in middle):
        return {"arm": arm, "epochs": str(epochs), "flat?": "not validated at two thirds"}
    before = 100 * sum(part.iloc[0] for part in middle) / len(curves)
    after = 100 * sum(curve.iloc[-1] for curve in curves) / len(curves)
    return {
        "arm": arm,
        "epochs": str(epochs),
        "val mIoU after two thirds": f"{before:.2f}",
        "at the end": f"{after:.2f}",
        "gain": f"{after - before:+.2f}".replace("-", "−"),
        "flat?": "yes" if after - before < load_rules().interest else "no, still rising",
    }
