"""Verdicts for a notebook: each part of a claim with its numbers, its rule and its outcome."""

from collections.abc import Iterable

import pandas as pd

from study.claims.judge import Verdict
from study.figures.notes import words


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row per part of a claim: estimate with interval, minimum detectable effect, rule, outcome, verdict."""
    rows = []
    for verdict in verdicts:
        for finding in verdict.findings:
            value, cost = finding.measured, bool(finding.part.cost)
            rows.append({
                "claim": verdict.claim.id,
                "part": finding.part.name,
                "measured": "not run: " + ", ".join(finding.missing) if value is None
                else f"{value.estimate:.3f}" if cost else words(value),
                "minimum detectable effect": "" if value is None or cost else f"{value.smallest_effect:.2f}",
                "rule": finding.part.test.words if finding.part.test else "shown, decides nothing",
                "outcome": finding.outcome,
                "verdict": verdict.verdict,
            })  # fmt: skip
    return pd.DataFrame(rows)
