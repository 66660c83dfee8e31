"""From the evidence to verdicts: measure each part of each claim, judge it by claims.toml, say what would settle it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.claims import rules
from study.claims.cells import collapsed, without_collapsed
from study.claims.rules import SHOWN, UNCLEAR, Claim, Criterion, Part, Rules, load_rules
from study.evidence import Strata, Study
from study.statistics.bootstrap import Difference

MORE_IMAGES = 4
"""How many times more images a reader is told about."""


@dataclass(frozen=True)
class Finding:
    """What the runs say about one part of a claim."""

    part: Part
    measured: Difference | None
    """None if runs are missing."""
    outcome: str
    """yes, no, unclear, or shown for a part without a test."""
    settle: float
    """Seeds with which 80 % of studies find a true effect of the size of interest, from the variance components; inf:
    no number does; NaN: the outcome is not unclear, or the components are unknown."""
    settle_more_images: float
    """The same with MORE_IMAGES times as many blocks of images."""
    runs: tuple[str, ...]
    missing: tuple[str, ...]
    """What could not be found."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim, and what it rests on."""

    claim: Claim
    verdict: str
    """reproduced, partly, not reproduced, inconclusive, not run, later or not judged."""
    findings: tuple[Finding, ...]


def judge(study: Study) -> dict[str, Verdict]:
    """The verdict on every claim of claims.toml, by its id. The study keeps the scores, so a second call is cheap."""
    found = load_rules()
    return {claim.id: _verdict(claim, study, found) for claim in found.of(study.profile)}


def verdict(study: Study, name: str) -> Verdict:
    """The verdict on one claim, such as "C1": only the scores of its own arms are computed."""
    found = load_rules()
    return _verdict(found.claim(name), study, found)


def judged_strata(part: Part, study: Study) -> Strata:
    """The contrasts of a part that are judged; at equal share of the gradient, those in which no cell has collapsed."""
    if not part.effect.get("share"):
        return part.strata()
    return without_collapsed(part.strata(), collapsed(study, share=True))


def _verdict(claim: Claim, study: Study, found: Rules) -> Verdict:
    findings = tuple(_finding(part, study, found.interest) for part in claim.parts)
    if all(finding.measured is None for finding in findings):
        word = "later" if claim.later else "not run"
    elif study.profile in found.judge_nothing:
        word = "not judged"
    else:
        word = claim.verdict([finding.outcome for finding in findings])
    return Verdict(claim, word, findings)


def _finding(part: Part, study: Study, interest: float) -> Finding:
    nan = float("nan")
    strata: Strata = []
    missing = [arm for arm in part.arms if not study.seeds([arm])]
    if not (missing or part.cost):
        strata = judged_strata(part, study)
        missing = [] if strata else ["a pair of cells of which none has collapsed"]
    paired = [part.arms] if part.cost else [list(stratum) for stratum in strata]
    if not missing:
        missing = [f"a seed that {' and '.join(arms)} share" for arms in paired if not study.seeds(arms)]
    if missing:
        return Finding(part, None, UNCLEAR if part.test else SHOWN, nan, nan, (), tuple(missing))
    pairs = [(arm, study.seeds(arms)) for arms in paired for arm in arms]
    used = [run.run_id for arm, seeds in pairs for run in study.select(arm) if run.seed in seeds]
    measured = _cost(study, **part.cost) if part.cost else study.contrast(strata, part.kind)
    outcome, settle, more = SHOWN, nan, nan
    if part.test and not part.cost and "seeds" not in measured.levels:
        outcome = UNCLEAR  # one seed does not tell how much seeds vary
    elif part.test:
        outcome = _outcome(part.test, measured, interest)
        if outcome == UNCLEAR and not part.cost and (found := study.random_effects(strata, part.kind)):
            settle = found.variances.seeds_for(interest)
            more = found.variances.seeds_for(interest, blocks=MORE_IMAGES * found.variances.blocks)
    return Finding(part, measured, outcome, settle, more, tuple(dict.fromkeys(used)), ())


def _outcome(test: Criterion, measured: Difference, interest: float) -> str:
    values = (measured.low, measured.estimate, measured.high, measured.smallest_effect, interest)
    return test.judge(dict(zip(rules.NAMES, values, strict=True)))


def _cost(study: Study, arms: Sequence[str], of: str, per: str | None = None) -> Difference:
    """Costs are measured, not sampled: estimate is the median over seeds, low and high are the extremes.

    Of a latency with several turns (`study.turns`) over the turns, in which all networks were measured one after the
    other: seeds of an arm share one network, so that they are no repeats.
    """
    seeds = sorted(study.seeds(arms))
    if of.startswith("latency") and (turns := study.turns(arms)):
        by_arm = [np.array(turns[arm][of]) / (np.array(turns[arm][per]) if per else 1) for arm in arms]
        return _extremes(by_arm, seeds, ("turns",))
    by_arm = []
    for arm in arms:
        by_seed = {run.seed: run.metrics["cost"] for run in study.select(arm)}
        costs = [by_seed[seed] for seed in seeds]
        values = np.array([cost.get(of, np.nan) for cost in costs])
        by_arm.append(values / [cost.get(per, np.nan) for cost in costs] if per else values)
    return _extremes(by_arm, seeds, ())


def _extremes(by_arm: Sequence[np.ndarray], seeds: Sequence[int], levels: tuple[str, ...]) -> Difference:
    """The ratio of two arms, or one arm alone: its median, smallest and largest value."""
    values = by_arm[0] / by_arm[1] if len(by_arm) == 2 else by_arm[0]
    nan = float("nan")
    return Difference(
        estimate=float(np.median(values)), low=float(values.min()), high=float(values.max()), per_seed=values,
        seeds=tuple(seeds), images=0, blocks=0, levels=levels, sd_seed=nan, smallest_effect=nan,
        detectable_effect=nan,
    )  # fmt: skip
