"""Comparisons of variants (`Profile.variants`), and whether the training of each arm had flattened."""

import numpy as np
import pandas as pd

from study.arms import ARMS
from study.claims.rules import load_rules
from study.evidence import Pair, Study
from study.figures.notes import Note, seeds_of, signed
from study.presets import overrides_for
from study.profiles import PROFILES, Variant
from study.report import tables
from study.report.comparison import FULL_LENGTH, difference_table
from study.report.histories import histories, total_epochs

FLATTENING = ("arm", "epochs", "val mIoU after two thirds", "at the end", "gain", "flat?")
"""Columns of `flattening_table`."""


def variant_pairs(profile: str) -> list[Pair]:
    """`tables.PARTS` for each variant that the table of differences leaves out."""
    shown = {arm.partition("@")[2] for pair in tables.MAIN_PAIRS for arm in pair}
    found = [
        (_in_variant(a, name, variant), _in_variant(b, name, variant))
        for name, variant in PROFILES[profile].variants.items() if name not in shown
        for a, b in tables.PARTS
    ]  # fmt: skip
    return [(a, b) for a, b in found if a and b and "@" in a + b]


def gain_pairs(profile: str) -> list[Pair]:
    """The method minus its baseline, of these variants."""
    return [pair for pair in variant_pairs(profile) if tuple(arm.partition("@")[0] for arm in pair) == tables.PARTS[0]]


def _in_variant(arm: str, name: str, variant: Variant) -> str | None:
    """The name of an arm's runs in a variant: those of the profile if it changes nothing of them; None without any."""
    if arm in variant.arm_seeds:
        return f"{arm}@{name}"
    return None if variant.host or overrides_for(arm, variant.overrides) else arm


def variant_table(study: Study) -> Note:
    """`difference_table` of `variant_pairs`."""
    pairs = variant_pairs(study.profile)
    return difference_table(study, pairs) if pairs else Note("This profile has no variants beside those above.")


def second_host_cost(study: Study) -> Note:
    """What the arms of the second host score and cost, in one sentence: two points need no chart."""
    told, hosts = [], set()
    for arm in ("lr", "dsrl"):
        runs = study.select(f"{arm}@second_host")
        if value := study.single(f"{arm}@second_host"):
            macs = np.median([run.metrics["cost"]["macs_pruned"] for run in runs]) / 1e6
            told.append(f"`{arm}` {value.estimate:.1f} points at {macs:.0f} M MACs ({seeds_of(value)})")
            hosts.add(runs[0].host)
    if not told:
        return Note("**Not run:** `lr` and `dsrl` at the second host.")
    return Note(f"{hosts.pop()}, from random weights: {', '.join(told)}. This is what it costs, not what it can reach.")


def flattening_table(study: Study) -> Note:
    """Validation mIoU after two thirds of the training and at its end, one row per arm: FULL_LENGTH, and all variants.

    Training has flattened if the last third gains less than the smallest effect of interest, on the mean over seeds.
    Runs that were not validated between two and three quarters of their epochs cannot say.
    """
    variants = [
        arm for arm in PROFILES[study.profile].variant_arms
        if ARMS[arm.partition("@")[0]].changes.get("downsampling.stage") != "locations"  # it trains no host
    ]  # fmt: skip
    rows = [_flattening(study, arm) for arm in (*FULL_LENGTH, *variants) if study.select(arm)]
    return Note.table(pd.DataFrame(rows, columns=FLATTENING).fillna("")) if rows else Note("No runs.")


def _flattening(study: Study, arm: str) -> dict[str, str]:
    curves = [history.dropna(subset="val_miou").set_index("epoch")["val_miou"] for history in histories(study, arm)]
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
        "gain": signed(after - before),
        "flat?": "yes" if after - before < load_rules().interest else "no, still rising",
    }
