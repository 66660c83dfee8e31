"""The interval of the claims beside one over random effects: the tables and the chart of notebook 45."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from study.claims.judge import MORE_IMAGES, judge, judged_strata
from study.claims.rules import UNCLEAR
from study.evidence import Strata, Study
from study.figures.interval_charts import interval_pairs
from study.figures.notes import Answer, Note
from study.profiles import PROFILES
from study.report.readable import readable
from study.statistics.bootstrap import Difference
from study.statistics.coverage import agreeing_coverage, bootstrap_coverage, random_effects_coverage
from study.statistics.random_effects import Interval

NOTHING = "No difference has two seeds."
EFFECTS = (0.5, 1.0, 2.0)
"""True effects in points that a study might want to find."""


def contrasts(study: Study, unclear: bool = False) -> dict[str, tuple[Strata, str]]:
    """What the claims compare, each quantity once: claim and quantity -> contrasts and kind of score, as judged.

    An effect in the FA factorial has the name of its part. Without those that lack runs or a second seed. unclear:
    those alone on which the outcome of a part is unclear.
    """
    found: dict[str, tuple[Strata, str]] = {}
    quantities = set()
    for verdict in judge(study).values():
        for finding in verdict.findings:
            part = finding.part
            enough = not part.cost and all(len(study.seeds(list(arms))) > 1 for arms in part.strata())
            if not enough or part.quantity in quantities or (unclear and finding.outcome != UNCLEAR):
                continue
            if strata := judged_strata(part, study):
                found[f"{verdict.claim.id} {part.name if part.effect else part.quantity}"] = strata, part.kind
                quantities.add(part.quantity)
    return found


def _intervals(study: Study, unclear: bool = False) -> dict[str, tuple[Difference, Interval]]:
    """By name, each difference with its two intervals; without those of a single block of images."""
    rows = {}
    for name, (strata, kind) in contrasts(study, unclear).items():
        old = study.bootstrap(strata, kind)
        if new := study.random_effects(strata, kind, old.estimate):
            rows[name] = old, new
    return rows


def interval_chart(study: Study) -> Figure | Note:
    """Both intervals of every difference that a claim is about."""
    pairs = _intervals(study)
    return interval_pairs(pairs, PROFILES[study.profile].interval) if pairs else Note(NOTHING)


def interval_table(study: Study) -> Note:
    """One row per difference: both intervals, degrees of freedom, `Interval.agreement`, and whose part of the variance
    is how large."""
    rows = []
    for name, (old, found) in _intervals(study).items():
        v = found.variances
        shares = np.array([v.seed / v.seeds, v.block / v.blocks * v.strata, v.both / (v.seeds * v.blocks)])
        seed, block, both = 100 * shares / max(shares.sum(), 1e-12)
        rows.append({
            "difference": name,
            "seeds": v.seeds,
            "estimate": f"{old.estimate:+.2f}",
            "two-level bootstrap": f"[{old.low:+.2f}, {old.high:+.2f}]",
            "random effects": f"[{found.low:+.2f}, {found.high:+.2f}]",
            "degrees of freedom": f"{found.freedom:.1f}",
            "agreement": f"{found.agreement:.2f}",
            "variance from seeds": f"{seed:.0f} %",
            "from images": f"{block:.0f} %",
            "from both": f"{both:.0f} %",
        })  # fmt: skip
    return _note(rows)


def agreement_table(study: Study) -> Note:
    """How often the interval over random effects holds the truth, by agreement, for each number of seeds."""
    designs = {(found.variances.seeds, found.variances.blocks) for _, found in _intervals(study).values()}
    rows = [
        {"seeds": seeds, "blocks of images": blocks}
        | {f"agreement {kind}": f"{value:.0f} %" for kind, value in agreeing_coverage(seeds, blocks).items()}
        for seeds, blocks in sorted(designs)
    ]
    return _note(rows)


def coverages(study: Study, studies: int = 200) -> pd.DataFrame:
    """One row per difference: percent of simulated studies in which each interval holds the truth; 95 is right."""
    rows = {
        name: {
            "two-level bootstrap": bootstrap_coverage(found.variances, studies),
            "random effects": random_effects_coverage(found.variances),
        }
        for name, (_, found) in _intervals(study).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def coverage_answer(found: pd.DataFrame) -> Answer:
    """The range over all differences for each interval. found: `coverages`."""
    if found.empty:
        return Answer(NOTHING)
    lines = [
        f"- {kind}: in {each.min():.0f} to {each.max():.0f} % of simulated studies, by difference; median "
        f"{each.median():.0f} %"
        for kind, each in found.items()
    ]  # fmt: skip
    return Answer("\n".join(["A 95 % interval contains the true difference:", "", *lines]))


def coverage_table(found: pd.DataFrame) -> Note:
    """`coverages` as text."""
    rows = [
        {
            "difference": name,
            "two-level bootstrap": f"{row['two-level bootstrap']:.0f} %",
            "random effects": f"{row['random effects']:.1f} %",
        }
        for name, row in found.iterrows()
    ]
    return _note(rows)


def settle_table(study: Study) -> Note:
    """One row per difference that leaves a part of a claim unclear: seeds with which 80 % of studies would find a true
    effect of each size."""
    rows = []
    for name, (_, found) in _intervals(study, unclear=True).items():
        v = found.variances
        row = {"difference": name, "seeds now": v.seeds}
        row |= {f"for {effect:g} points": _seeds(v.seeds_for(effect)) for effect in EFFECTS}
        many = v.seeds_for(EFFECTS[0], blocks=MORE_IMAGES * v.blocks)
        rows.append(row | {f"for {EFFECTS[0]:g} with {MORE_IMAGES} times the images": _seeds(many)})
    return _note(rows) if rows else Note("No part of a claim is unclear by two seeds or more.")


def _seeds(number: float) -> str:
    return "no number" if np.isinf(number) else f"{number:.0f}"


def _note(rows: Sequence[Mapping[str, object]]) -> Note:
    return Note.table(readable(pd.DataFrame(rows))) if rows else Note(NOTHING)
