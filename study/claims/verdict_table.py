"""Verdicts for a notebook: each part of a claim with its numbers and its outcome, and the rules below."""

from collections.abc import Iterable
from string import ascii_uppercase

import pandas as pd

from study.claims.judge import Finding, Verdict
from study.claims.rules import load_rules
from study.figures.notes import Note, some, words

INTEREST = "smallest effect of interest"
"""Rules name it; its size stands below them."""
NO_RULE = "–"
"""Instead of a rule, for a part that decides nothing."""


def verdict_table(verdicts: Iterable[Verdict]) -> Note:
    """One row per part of a claim: estimate with interval, minimum detectable effect, letter of its rule, outcome.

    The claim and its verdict stand in its first row; a claim of which no part was measured has one row. Below the
    table, each rule once by its letter.
    """
    letters: dict[str, str] = {}
    rows = []
    for verdict in verdicts:
        if all(finding.measured is None for finding in verdict.findings):
            missing = list(dict.fromkeys(name for finding in verdict.findings for name in finding.missing))
            rows.append({
                "claim": verdict.claim.id, "verdict": f"**{verdict.verdict}**", "part": "–",
                "measured": f"not run: {some(missing)}", "minimum detectable effect": "", "rule": "", "outcome": "",
            })  # fmt: skip
            continue
        for place, finding in enumerate(verdict.findings):
            test = finding.part.test
            rows.append({
                "claim": "" if place else verdict.claim.id,
                "verdict": "" if place else f"**{verdict.verdict}**",
                "part": finding.part.name,
                "measured": measured(finding),
                "minimum detectable effect": _detectable(finding),
                "rule": letters.setdefault(test.words, ascii_uppercase[len(letters)]) if test else NO_RULE,
                "outcome": finding.outcome,
            })  # fmt: skip
    rules = [f"**{letter}:** {text}." for text, letter in letters.items()]
    if any(INTEREST in text for text in letters):
        rules.append(f"The {INTEREST} is {load_rules().interest:g} points.")
    if any(row["rule"] == NO_RULE for row in rows):
        rules.append(f"**{NO_RULE}** is shown and decides nothing.")
    table = Note.table(pd.DataFrame(rows))
    return Note(f"{table}\n\nRules. {' '.join(rules)}") if rules else table


def measured(finding: Finding) -> str:
    """mIoU points with their interval, or the ratio of a cost; or what was not run."""
    if finding.measured is None:
        return f"not run: {some(finding.missing)}"
    return f"{finding.measured.estimate:.3f}" if finding.part.cost else words(finding.measured)


def _detectable(finding: Finding) -> str:
    return "" if finding.measured is None or finding.part.cost else f"{finding.measured.detectable_effect:.2f}"
