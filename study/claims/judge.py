"""From runs to verdicts: measure each part of each claim, judge it by claims.toml, see what would settle."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from study.catalogue import Run, counts_by_seed, load_runs, select
from study.claims import rules
from study.claims.rules import SHOWN, UNCLEAR, Claim, Part, Rules, load_rules
from study.profiles import PROFILES
from study.statistics.bootstrap import Difference, contrast
from study.statistics.scores import Resamples, Scores, score


@dataclass(frozen=True)
class Finding:
    """What the runs say about one part of a claim."""

    part: Part
    measured: Difference | None
    """None if runs are missing."""
    outcome: str
    """yes, no, unclear, or shown for a part without a test."""
    settle: float
    """Seeds that would settle an unclear outcome; inf: it takes more images; NaN: not unclear, or unknown."""
    runs: tuple[str, ...]
    missing: tuple[str, ...]
    """What could not be found."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim and what it rests on."""

    claim: Claim
    verdict: str
    """reproduced, partly, not reproduced, inconclusive, not run or later."""
    findings: tuple[Finding, ...]


def evaluate_claims(profile: str, runs: Sequence[Run] | None = None) -> list[Verdict]:
    """The verdict on every claim of claims.toml. runs: those of the profile on the disk unless given."""
    evidence = Evidence(profile, load_runs(profile) if runs is None else runs, load_rules())
    return [_verdict(claim, evidence) for claim in evidence.rules.claims]


class Evidence:
    """The runs of a profile, and the scores of each arm, computed when first asked for."""

    def __init__(self, profile: str, runs: Sequence[Run], rules: Rules) -> None:
        self.profile, self.runs, self.rules = profile, runs, rules
        self._scores: dict[str, Scores] = {}
        self._resamples: dict[tuple[str, ...], Resamples] = {}

    def select(self, name: str) -> list[Run]:
        """Runs of "arm" or "arm@variant", by seed; none if the profile does not have the variant."""
        arm, _, variant = name.partition("@")
        if not variant:
            return select(self.runs, arm)
        how = PROFILES[self.profile].variants.get(variant)
        return select(self.runs, arm, how.host, how.overrides) if how else []

    def scores(self, name: str) -> Scores:
        """mIoU of an arm by seed, on the split and on resamples that all arms share."""
        if name not in self._scores:
            counts, sequences = counts_by_seed(self.select(name))
            if sequences not in self._resamples:
                self._resamples[sequences] = Resamples.of(sequences)
            self._scores[name] = score(counts, self._resamples[sequences])
        return self._scores[name]

    def seeds(self, arms: Sequence[str]) -> set[int]:
        """Seeds that all of the arms have."""
        return set.intersection(*({run.seed for run in self.select(arm)} for arm in arms))


def measure(part: Part, evidence: Evidence) -> Difference:
    """The part's quantity with its interval; every arm that it needs must have runs."""
    if part.cost:
        return _cost(evidence, **part.cost)
    return contrast(*([(weight, evidence.scores(arm)) for arm, weight in s.items()] for s in part.strata()))


def _verdict(claim: Claim, evidence: Evidence) -> Verdict:
    findings = tuple(_finding(part, evidence) for part in claim.parts)
    if claim.later:
        verdict = "later"
    elif all(finding.measured is None for finding in findings):
        verdict = "not run"
    else:
        verdict = claim.verdict([finding.outcome for finding in findings])
    return Verdict(claim, verdict, findings)


def _finding(part: Part, evidence: Evidence) -> Finding:
    paired = [part.arms] if part.cost else [list(stratum) for stratum in part.strata()]
    missing = [arm for arm in part.arms if not evidence.seeds([arm])]
    if not missing:
        missing = [f"a seed that {' and '.join(arms)} share" for arms in paired if not evidence.seeds(arms)]
    if missing:
        return Finding(part, None, UNCLEAR if part.test else SHOWN, float("nan"), (), tuple(missing))
    pairs = [(arm, evidence.seeds(arms)) for arms in paired for arm in arms]
    used = [run.run_id for arm, seeds in pairs for run in evidence.select(arm) if run.seed in seeds]
    measured = measure(part, evidence)
    outcome, settle = SHOWN, float("nan")
    if part.test and not part.cost and "seeds" not in measured.levels:
        outcome = UNCLEAR  # one seed says nothing of how much seeds vary
    elif part.test:
        judge = partial(_judge, part, interest=evidence.rules.interest)
        outcome = judge(measured)
        if outcome == UNCLEAR and not part.cost:
            settle = measured.seeds_to_settle(lambda difference: judge(difference) != UNCLEAR)
    return Finding(part, measured, outcome, settle, tuple(dict.fromkeys(used)), ())


def _judge(part: Part, measured: Difference, interest: float) -> str:
    values = (measured.low, measured.estimate, measured.high, measured.smallest_effect, interest)
    return part.test.judge(dict(zip(rules.NAMES, values, strict=True)))


def _cost(evidence: Evidence, arms: Sequence[str], of: str, per: str | None = None) -> Difference:
    """Costs are measured, not sampled: estimate is the median over seeds, low and high are the extremes."""
    seeds = sorted(evidence.seeds(arms))
    by_arm = []
    for arm in arms:
        costs = {run.seed: run.metrics["cost"] for run in evidence.select(arm)}
        by_arm.append(np.array([costs[seed][of] / (costs[seed][per] if per else 1) for seed in seeds]))
    values = by_arm[0] / by_arm[1] if len(by_arm) == 2 else by_arm[0]
    nan = float("nan")
    return Difference(
        estimate=float(np.median(values)), low=float(values.min()), high=float(values.max()), per_seed=values,
        seeds=tuple(seeds), images=0, blocks=0, levels=(), sd_seed=nan, se_seeds=nan, se_images=nan,
        smallest_effect=nan,
    )  # fmt: skip
