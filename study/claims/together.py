"""Claims of one data set alone, and one verdict on several, by the rule at the top of claims.toml."""

from collections.abc import Sequence

from study.claims.judge import Verdict, judge
from study.claims.table import markdown, shown
from study.evidence import Study

BEDS = {"camvid": "CamVid", "idd": "IDD-lite"}
"""Profiles of the data sets that the study compares, with the names that a reader knows."""
NOT_JUDGED = ("not run", "later")


def together(words: Sequence[str]) -> str:
    """The verdict on all data sets from the one on each; those where the claim was not run do not count."""
    judged = {word for word in words if word not in NOT_JUDGED}
    if len(judged) <= 1:
        return next(iter(judged), "not run")
    return "inconclusive" if "inconclusive" in judged else "partly"


def own_claims(study: Study) -> str:
    """The claims that not every profile has, as far as they were run on this one, as a table."""
    found = [verdict for verdict in judge(study).values() if verdict.claim.profiles]
    return markdown([verdict for verdict in found if verdict.verdict not in NOT_JUDGED], study.profile)


def beds_table(studies: Sequence[Study]) -> str:
    """One row per claim that was run on two data sets or more: measurements and verdict on each, and on all."""
    by_bed = [judge(study) for study in studies]
    names = [BEDS[study.profile] for study in studies]
    lines = [f"| Claim | {' | '.join(names)} | Together |", "|---" * (len(names) + 2) + "|"]
    for claim_id in dict.fromkeys(name for verdicts in by_bed for name in verdicts):
        found = [verdicts.get(claim_id) for verdicts in by_bed]
        words = [verdict.verdict if verdict else "not run" for verdict in found]
        if sum(word not in NOT_JUDGED for word in words) < 2:
            continue
        cells = " | ".join(map(_cell, found))
        claim = next(verdict.claim for verdict in found if verdict)
        lines.append(f"| **{claim.id}** {claim.text} | {cells} | **{together(words)}** |")
    return "\n".join(lines) if len(lines) > 2 else "No claim has been run on two data sets yet."


def _cell(verdict: Verdict | None) -> str:
    if verdict is None or verdict.verdict in NOT_JUDGED:
        return "not run"
    return f"{shown(verdict)}<br>{verdict.verdict}"
