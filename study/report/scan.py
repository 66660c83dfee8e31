"""The scan of target shares on val: what each share does, and which one the rule keeps (claims.toml)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dsrl_lib.metrics import miou
from study.arms import SHARE
from study.claims.rules import load_rules
from study.evidence import Study
from study.figures.notes import Note
from study.plan import SCANNED, SHARES
from study.profiles import SEARCH_SEEDS

SCANNED_ON = ("idd", "camvid")
"""The profiles on which shares are chosen."""


def scan_scores(study: Study) -> dict[str, dict[float, dict[int, float]]]:
    """val mIoU in points: setting -> share -> seed of the search. Runs that are not there are left out."""
    found: dict[str, dict[float, dict[int, float]]] = {setting: {} for setting in SCANNED.values()}
    for run in study.runs:
        setting = SCANNED.get(run.arm)
        if run.seed not in SEARCH_SEEDS or setting is None or run.overrides is None:
            continue
        if all(item.startswith(f"{setting}=") for item in run.overrides):
            share = run.config["loss"][setting.partition(".")[2]]
            found[setting].setdefault(share, {})[run.seed] = 100 * miou(run.counts("val").counts)
    return found


def scan_table(study: Study) -> pd.DataFrame:
    """One row per setting and share: val mIoU, mean over seeds, each seed, and minus that at SHARE on shared seeds."""
    rows = []
    for setting, by_share in scan_scores(study).items():
        for share in SHARES:
            seeds = by_share.get(share, {})
            paired = _gains(by_share, share)
            rows.append({
                "setting": setting,
                "share of CE's gradient": f"{100 * share:g} %",
                "val mIoU": f"{np.mean(list(seeds.values())):.2f}" if seeds else "not run",
                "by seed": " ".join(f"{seeds[seed]:.2f}" for seed in sorted(seeds)),
                f"minus {100 * SHARE:g} %": f"{np.mean(paired):+.2f}".replace("-", "−") if paired else "",
            })  # fmt: skip
    return pd.DataFrame(rows)


def scan_note(study: Study) -> Note:
    """`scan_table` for a notebook; one sentence if no share was scanned."""
    scanned = any(scan_scores(study).values())
    return Note.table(scan_table(study)) if scanned else Note("No share was scanned in this profile.")


def chosen_share(setting: str, studies: Sequence[Study]) -> float | None:
    """The share that the rule keeps; None until every share and seed of all data sets is there.

    The rule: SHARE, unless another share is better on the mean over data sets by more than the smallest effect of
    interest, and better on each of them; of several such shares the one with the highest mean.
    """
    tables = [scan_scores(study)[setting] for study in studies]
    if any(set(table.get(share, {})) != set(SEARCH_SEEDS) for table in tables for share in SHARES):
        return None
    gains = {share: [float(np.mean(_gains(table, share))) for table in tables] for share in SHARES}
    better = {
        share: np.mean(each) for share, each in gains.items()
        if min(each) > 0 and np.mean(each) > load_rules().interest
    }  # fmt: skip
    return max(better, key=better.__getitem__, default=SHARE)


def choices() -> str:
    """What the rule chooses on SCANNED_ON, one line per setting."""
    studies = [Study(bed) for bed in SCANNED_ON]
    found = {setting: chosen_share(setting, studies) for setting in SCANNED.values()}
    missing = f"not chosen yet, runs of {' and '.join(SCANNED_ON)} are missing"
    return "\n".join(f"{name}: {missing if share is None else f'{100 * share:g} %'}" for name, share in found.items())


def _gains(by_share: Mapping[float, Mapping[int, float]], share: float) -> list[float]:
    """val mIoU at a share minus that at SHARE, by the seeds that both have."""
    here, there = by_share.get(share, {}), by_share.get(SHARE, {})
    return [here[seed] - there[seed] for seed in sorted(here.keys() & there.keys())]
