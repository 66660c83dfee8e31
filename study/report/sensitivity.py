"""Which verdicts would differ under another analysis of the same runs. The rules and verdicts themselves stay."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from study.claims.judge import judge
from study.claims.together import BEDS
from study.evidence import Strata, Study
from study.figures.notes import Note
from study.profiles import PROFILES
from study.statistics.bootstrap import Difference, Score
from study.statistics.random_effects import Interval, as_difference

Analysis = Callable[[Study, Strata, str], Difference]


def other_interval(study: Study, strata: Strata, kind: str) -> Difference:
    """With the interval that judges the other data set."""
    found = study.bootstrap(strata, kind)
    if PROFILES[study.profile].interval != "bootstrap":
        return found
    other = study.random_effects(strata, kind, found.estimate)
    return as_difference(other, found) if other else found


def larger_effect(study: Study, strata: Strata, kind: str) -> Difference:
    """With the minimum detectable effect of the tables in the rules, in the place of 2.8 standard errors."""
    found = study.contrast(strata, kind)
    return replace(found, smallest_effect=found.detectable_effect)


def shared_seeds(study: Study, strata: Strata, kind: str) -> Difference:
    """With the cells of a factorial paired by seed: those of one seed start from the same stage 2."""
    mean: defaultdict[str, float] = defaultdict(float)
    for arms in strata:
        for arm, weight in arms.items():
            mean[arm] += weight / len(strata)
    return study.contrast([mean], kind)


ANALYSES: dict[str, Analysis] = {
    "with the other interval": other_interval,
    "with the larger minimum detectable effect": larger_effect,
    "with seeds shared by the cells of a factorial": shared_seeds,
}


class _Analysed(Study):
    """A study, with its scores, whose contrasts are analysed in another way."""

    def __init__(self, study: Study, analysis: Analysis) -> None:
        super().__init__(study.profile, study.runs)
        self._study, self._analysis = study, analysis

    def _contrast(self, strata: Strata, kind: str) -> Difference:
        return self._analysis(self._study, strata, kind)

    def random_effects(self, strata: Strata, kind: str = "miou", estimate: Score | None = None) -> Interval | None:
        return self._study.random_effects(strata, kind, estimate)


def sensitivity_table(study: Study) -> Note:
    """`sensitivity` of one profile."""
    found = sensitivity([study])
    return Note.table(found.set_index("Claim")) if len(found) else Note("No verdict here depends on these choices.")


def sensitivity(studies: Sequence[Study]) -> pd.DataFrame:
    """One row per claim and data set whose verdict differs in one of ANALYSES; an empty cell is the same verdict."""
    rows = []
    for study in studies:
        verdicts = judge(study)
        others = {name: judge(_Analysed(study, analysis)) for name, analysis in ANALYSES.items()}
        for name, found in verdicts.items():
            changed = {
                how: other[name].verdict for how, other in others.items() if other[name].verdict != found.verdict
            }
            if changed:
                row = {"Claim": name, "Data set": BEDS.get(study.profile, study.profile), "Verdict": found.verdict}
                rows.append(row | dict.fromkeys(ANALYSES, "") | changed)
    return pd.DataFrame(rows, columns=["Claim", "Data set", "Verdict", *ANALYSES])
