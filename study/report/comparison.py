"""What a notebook says about arms: answers, claims and charts. Arms that were not run are named, never an error."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from study.arms import ACTING_ARMS, ARMS, CONTROL_ARMS, DETAIL_ARMS, MAIN_ARMS
from study.claims.judge import Finding, Verdict, judge, verdict
from study.claims.rules import load_rules
from study.claims.verdict_table import measured, verdict_table
from study.evidence import Pair, Study
from study.figures import cost_chart, interval_charts, plots
from study.figures.notes import Answer, Note, seeds_of, some, words
from study.profiles import PROFILES
from study.report import tables
from study.report.latencies import comparable_latencies
from study.report.readable import readable
from study.report.results import results_frame
from study.statistics.bootstrap import Difference

STEP_NAMES = ("HR labels", "SSSR head", "SISR", "FA")
"""What each of `tables.STEPS` adds."""
COMPARED = MAIN_ARMS + CONTROL_ARMS
UPPER_BOUND = "hr"
"""It would set the scale of a chart in which the others differ by little."""
WHOSE_LOSSES_ACT = ACTING_ARMS + DETAIL_ARMS
"""Both forms of the SISR branch that learns detail."""
FULL_LENGTH = (
    "lr", "bilinear", "sssr_long", "sssr_sisr_long", "dsrl", *ACTING_ARMS[1:], *DETAIL_ARMS[1:], "mac_matched",
    UPPER_BOUND,
)  # fmt: skip
"""Arms that were trained for all updates, without controls: what charts by class and curves of validation show."""
STAGES_OF_DSRL = ("sssr", "sssr_sisr", ACTING_ARMS[0], DETAIL_ARMS[0])
"""Stages of `dsrl`, `dsrl_res` and `dsrl_detail`: they have had fewer updates than the others."""


def answer(study: Study, claim: str, part: int = 0) -> Answer:
    """The verdict on a claim in one sentence, with the numbers of one of its parts."""
    found = verdict(study, claim)
    finding = found.findings[part]
    label = f"{claim}, {finding.part.name} ({finding.part.quantity})"
    return _sentence(study, label, found, finding)


def answers(study: Study, *claims: str) -> Answer:
    """Each part that decides one of these claims, in one sentence; of those claims that were run, if any was."""
    verdicts = [verdict(study, claim) for claim in claims]
    run = [found for found in verdicts if any(finding.measured for finding in found.findings)]
    sentences = []
    for found in run or verdicts:
        for finding in (finding for finding in found.findings if finding.part.test and not finding.part.weaker):
            quantity = "" if finding.part.effect else f" ({finding.part.quantity})"  # the name of an effect says it
            label = f"{found.claim.id}, {finding.part.name}{quantity}"
            sentences.append(_sentence(study, label, found, finding))
    return Answer("\n\n".join(sentences))


def _sentence(study: Study, label: str, found: Verdict, finding: Finding) -> Answer:
    """Estimate, interval, seeds, hosts, verdict; or what has to be run first."""
    if finding.measured is None:
        return Answer(f"**{label}: not run** (missing: {', '.join(finding.missing)}).")
    hosts = dict.fromkeys(run.host for run in study.runs if run.run_id in finding.runs)
    return Answer(f"**{label}: {measured(finding)}, host {' and '.join(hosts)}: {_outcome(found, finding)}.**")


def _outcome(found: Verdict, finding: Finding) -> str:
    """The verdict; of a claim with several rules, after the outcome of this one part."""
    if sum(other.part.test is not None for other in found.findings) == 1:
        return found.verdict
    return f"{finding.outcome} by its rule; {found.claim.id} as a whole: {found.verdict}"


def cost_answer(study: Study, claim: str) -> Answer:
    """The verdict on a claim about cost in one sentence, with the ratio that was measured."""
    found = verdict(study, claim)
    value = found.findings[0].measured
    number = f"{value.estimate:.3f}" if value else "not run"
    return Answer(f"**{found.claim.text}: {found.findings[0].part.name} {number}: {claim} {found.verdict}.**")


def claim_table(study: Study, *claims: str) -> Note:
    """Each part of these claims with its numbers, its rule and its outcome; of all claims if none is named."""
    return verdict_table([verdict(study, claim) for claim in claims] or judge(study).values())


def difference_chart(
    study: Study,
    pairs: Sequence[Pair] | Mapping[str, Pair | Difference | None],
    claimed: Mapping[Pair, float] | None = None,
    heads: Collection[str] = (),
    xlabel: str = interval_charts.XLABEL,
) -> Figure | Note:
    """Differences a - b with their intervals. pairs: (a, b), or label -> (a, b), difference, or None if it was not run.

    claimed: what a claim asks for, by pair, a dashed line in its row. heads: labels of rows that sum up the others, in
    bold.
    """
    named = pairs if isinstance(pairs, Mapping) else {_label(a, b): (a, b) for a, b in pairs}
    values = {name: study.difference(*pair) if isinstance(pair, tuple) else pair for name, pair in named.items()}
    rows = {name: value for name, value in values.items() if value is not None}
    if not rows:
        return Note(f"**Not run:** {some(list(named))}.".replace("\n", " "))
    asked = {name: points for pair, points in (claimed or {}).items() for name in rows if named[name] == pair}
    return interval_charts.forest(rows, claimed=asked, interest=load_rules().interest, heads=heads, xlabel=xlabel)


def _label(a: str, b: str) -> str:
    """The name of a difference; what both arms have after an @ stands once, below it, as does a long name's second."""
    (arm, _, variant), (rival, _, other) = a.partition("@"), b.partition("@")
    if variant and variant == other:
        return f"{arm} − {rival}\n@{variant}"
    return f"{a}\n− {b}" if variant else f"{a} − {b}"


def difference_table(study: Study, pairs: Sequence[Pair] | None = None) -> Note:
    """`tables.differences` of these pairs: intervals, and the smallest effect that the design could detect.

    Those that were not run are named below it.
    """
    found = tables.differences(study, pairs)
    run, absent = found[found["seeds"] > 0], found.index[found["seeds"] == 0]
    parts = [Note.table(readable(run))] * (len(run) > 0) + [f"**Not run:** {', '.join(absent)}."] * (len(absent) > 0)
    return Note("\n\n".join(parts))


def arm_chart(study: Study) -> Figure | Note:
    """Test mIoU of the main arms, the controls and the arms whose losses act minus the baseline `lr`, at equal updates.

    Differences, because arms are paired: an interval of each level is mostly the choice of test images.
    """
    shown = (*COMPARED, *WHOSE_LOSSES_ACT)
    pairs = {arm: (arm, "lr") for arm in shown if arm not in ("lr", *STAGES_OF_DSRL)}
    return difference_chart(study, pairs, xlabel="mIoU minus that of lr (points)")


def step_chart(study: Study) -> Figure | Note:
    """From the baseline to the method one part at a time; the steps add up to the last row."""
    steps = dict(zip(STEP_NAMES, tables.STEPS, strict=True))
    whole = "all of it: dsrl − lr"
    return difference_chart(study, steps | {whole: ("dsrl", "lr")}, heads=[whole])


def cost_table(study: Study, without: Sequence[str] = ()) -> pd.DataFrame:
    """`tables.cost` without some arms, and without memory: two states of the code counted it for one network.

    Column `sampling` is what counts do not tell networks apart by: where the frame is sampled, which takes time; blank
    if it is reduced evenly.
    """
    cost = tables.cost(study)
    memory, _ = tables.COSTS["peak_mib"]
    shown = cost.loc[~cost.index.isin(without), [name for name in cost if not name.startswith(memory)]]
    shown.insert(1, "sampling", [_sampling(study.select(arm)[0].config) for arm in shown.index])
    return shown


def _sampling(config: Mapping[str, Any]) -> str:
    """Such as "predicted 8x8, footprint" or "uniform, nearest", from a whole configuration."""
    section = config["downsampling"]
    grid = "" if section["locations"] == "uniform" else f" {section['rows']}x{section['columns']}"
    return "" if section["locations"] == "none" else f"{section['locations']}{grid}, {section['filter']}"


def head_share(cost: pd.DataFrame) -> Note:
    """What the SSSR head adds to the host in percent, median over the arms of `cost` that have it.

    Without latency, whose noise is as large: `latency_table` has it.
    """
    if not len(cost):
        return Note("No runs.")
    heads = cost[[ARMS[arm].changes.get("model.sssr") is True for arm in cost.index]]
    lines = [
        f"- {heading}: {100 * (heads[f'{heading}, pruned'] / heads[f'{heading}, host'] - 1).median():+.1f} %"
        for heading, _ in (tables.COSTS["params"], tables.COSTS["macs"])
    ]
    return Note("\n".join([f"The SSSR head adds to the host (median of {len(heads)} arms):", "", *lines]))


def accuracy_cost_chart(study: Study, arms: Sequence[str], x: str, xlabel: str, unit: float = 1.0) -> Figure | Note:
    """Test mIoU against a column of results.csv such as macs_pruned, in `unit`.

    arms: may be of variants, each a point of its own; those of another host have a panel that names it. Against a
    latency, with the quartiles of its turns, and without the arms whose latency cannot be compared with that of the
    others.
    """
    names = [arm for arm in arms for _ in study.select(arm)]  # of the rows, with their variants
    within = [_within_host(study.profile, name) for name in names]
    table = results_frame([run for arm in arms for run in study.select(arm)]).assign(arm=within)
    form = x.removeprefix("latency_ms_")
    if len(table) and form != x:
        timed = comparable_latencies(study, list(dict.fromkeys(names)))
        table[x] = [timed.get(name, {}).get(form) for name in names]
        if turns := {name: found[name][x] for name in timed if (found := study.turns([name]))}:
            table["low"], table["high"] = (
                [np.quantile(turns[name], share) if name in turns else np.nan for name in names]
                for share in (0.25, 0.75)
            )
        table = table.dropna(subset=x)
    return cost_chart.accuracy_cost(table, x, xlabel, unit=unit) if len(table) else Note("No runs.")


def _within_host(profile: str, name: str) -> str:
    """The name of an arm in the panel of its host: without a variant that is this host."""
    arm, _, variant = name.partition("@")
    how = PROFILES[profile].variants.get(variant)
    return arm if how and how.host else name


def class_answers(study: Study, pairs: Sequence[Pair]) -> Answer:
    """For each pair, the classes whose interval leaves out zero."""
    lines = ["Classes whose 95 % interval leaves out zero, not corrected for their number:", ""]
    for pair, value in study.differences(pairs, "classes").items():
        if not value.interval_shown:
            lines.append(f"- **{pair}**: too few seeds for an interval ({seeds_of(value)}).")
            continue
        better = [name for name, low in zip(study.classes, value.low, strict=True) if low > 0]
        worse = [name for name, high in zip(study.classes, value.high, strict=True) if high < 0]
        lines.append(
            f"- **{pair}** ({seeds_of(value)}): better {', '.join(better) or 'none'}; "
            f"worse {', '.join(worse) or 'none'}."
        )
    return Answer("\n".join(lines) if lines[2:] else "**Not run.**")


def choice_answers(study: Study, choices: Mapping[str, Pair]) -> Answer:
    """What each choice is worth, one line each."""
    found = {name: study.difference(*pair) for name, pair in choices.items()}
    lines = [f"- {name}: {words(value) if value else 'not run'}" for name, value in found.items()]
    return Answer("\n".join(lines))


def class_chart(study: Study, pairs: Sequence[Pair]) -> Figure | Note:
    """IoU differences by class with intervals."""
    rows = study.differences(pairs, "classes")
    return plots.class_differences(study.classes, rows) if rows else Note("**Not run.**")
