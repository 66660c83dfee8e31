"""The scan of target shares on val: what each share does, and which one the rule keeps (claims.toml)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dsrl_lib.losses.terms import TERMS
from dsrl_lib.metrics import miou
from study.arms import SHARE
from study.claims.rules import load_rules
from study.claims.together import BEDS
from study.evidence import Study
from study.figures.notes import Answer, Note
from study.figures.share_charts import scan_panels
from study.plan import SCANNED, SHARES
from study.profiles import SEARCH_SEEDS
from study.report.readable import readable

NOT_SCANNED = Note("No share was scanned in this profile.")
SCANNED_ON = ("idd", "camvid")
"""The profiles on which shares are chosen."""

LOSSES = {"loss.share_sisr": ("SISR, after stage 2", "mse"), "loss.share_fa": ("FA, after stage 3", "fa")}
"""Of each setting: what a reader calls it, and its term of the loss."""

Scores = dict[float, dict[int, float]]
"""share -> seed -> val mIoU in points."""


def scan_scores(study: Study) -> dict[str, Scores]:
    """val mIoU in points: setting -> share -> seed of the search. Runs that are not there are left out."""
    found: dict[str, Scores] = {setting: {} for setting in SCANNED.values()}
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
            rows.append({
                "setting": setting,
                "share of CE's gradient": f"{100 * share:g} %",
                "val mIoU": f"{np.mean(list(seeds.values())):.2f}" if seeds else "not run",
                "by seed": " ".join(f"{seeds[seed]:.2f}" for seed in sorted(seeds)),
                f"minus {100 * SHARE:g} %": _mean(_gains(by_share, share)),
            })  # fmt: skip
    return readable(pd.DataFrame(rows))


def scans_table(studies: Sequence[Study]) -> pd.DataFrame:
    """One row per loss and share: val mIoU minus that at SHARE on each data set, mean over seeds with each in brackets.

    "mean" is that of the data sets; blank until the share was run on all of them.
    """
    scores = [scan_scores(study) for study in studies]
    rows = []
    for setting, (loss, _) in LOSSES.items():
        for share in SHARES:
            gains = [_gains(found[setting], share) for found in scores]
            row = {"loss": loss, "share": f"{100 * share:g} %"}
            for study, seeds in zip(studies, gains, strict=True):
                each = " ".join(f"{gain:+.2f}" for gain in seeds)
                row[BEDS[study.profile]] = f"{_mean(seeds)} ({each})" if seeds else "not run"
            rows.append(row | {"mean": _mean([float(np.mean(seeds)) for seeds in gains]) if all(gains) else ""})
    return readable(pd.DataFrame(rows))


def scan_note(study: Study) -> Note:
    """`scan_table` for a notebook; one sentence if no share was scanned."""
    scanned = any(scan_scores(study).values())
    return Note.table(scan_table(study)) if scanned else NOT_SCANNED


def scan_chart(study: Study) -> Figure | Note:
    """val mIoU of each share minus that at SHARE, one panel per loss that was scanned; a sentence if none was."""
    by_setting = scan_scores(study)
    drawn, colours = {}, []
    for setting, (loss, term) in LOSSES.items():
        if gains := {share: seeds for share in SHARES if (seeds := _gains(by_setting[setting], share))}:
            drawn[loss] = gains
            colours.append(TERMS[term].colour)
    if not drawn:
        return NOT_SCANNED
    return scan_panels(drawn, colours, f"val mIoU minus that at {100 * SHARE:g} % (points)", load_rules().interest)


def scan_answer(study: Study) -> Answer | Note:
    """What the rule chooses from both data sets, in one sentence; another one for a profile without a scan."""
    if study.profile not in SCANNED_ON:
        return Note("Shares are scanned on IDD-lite and CamVid.")
    return Answer(f"**target shares, by the rule from both data sets: {'; '.join(choices(study))}.**")


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


def choices(study: Study) -> list[str]:
    """What the rule chooses on SCANNED_ON, one sentence per setting."""
    studies = [study.beside(bed) for bed in SCANNED_ON]
    found = {setting: chosen_share(setting, studies) for setting in SCANNED.values()}
    missing = f"not chosen yet, runs of {' and '.join(SCANNED_ON)} are missing"
    return [f"{name}: {missing if share is None else f'{100 * share:g} %'}" for name, share in found.items()]


def _mean(gains: Sequence[float]) -> str:
    return f"{np.mean(gains):+.2f}" if gains else ""


def _gains(by_share: Mapping[float, Mapping[int, float]], share: float) -> list[float]:
    """val mIoU at a share minus that at SHARE, by the seeds that both have."""
    here, there = by_share.get(share, {}), by_share.get(SHARE, {})
    return [here[seed] - there[seed] for seed in sorted(here.keys() & there.keys())]
