"""Claims of one data set alone, and one verdict on several, by the rule at the top of claims.toml."""

from collections.abc import Iterator, Sequence

from study.claims.judge import Verdict, judge
from study.claims.rules import Claim
from study.claims.table import deciding, evidence, markdown, sentence, settle, shown
from study.evidence import Study

BEDS = {"camvid": "CamVid", "idd": "IDD-lite"}
"""Profiles of the data sets that the study compares, with the names that a reader knows."""
NOT_JUDGED = ("not run", "later", "not judged")
ON_NONE = "No claim has been run on two data sets yet."


def together(words: Sequence[str]) -> str:
    """The verdict on all data sets from the one on each; those where the claim was not run do not count."""
    judged = {word for word in words if word not in NOT_JUDGED}
    if len(judged) <= 1:
        return next(iter(judged), "not run")
    return "inconclusive" if "inconclusive" in judged else "partly"


def own_claims(study: Study) -> str:
    """The claims that CamVid does not have, as far as they were run on this data set, as a table."""
    found = [each for each in judge(study).values() if each.claim.profiles and "camvid" not in each.claim.profiles]
    return markdown([each for each in found if each.verdict not in NOT_JUDGED], study.profile)


def beds_table(studies: Sequence[Study]) -> str:
    """One row per claim that was run on two data sets or more: measurements, verdict and what it needs, on each."""
    names = [BEDS[study.profile] for study in studies]
    lines = [f"| Claim | {' | '.join(names)} | Together |", "|---" * (len(names) + 2) + "|"]
    for claim, found, word in _by_claim(studies, least=2):
        lines.append(f"| **{claim.id}** {claim.text} | {' | '.join(map(_cell, found))} | **{word}** |")
    return "\n".join(lines) if len(lines) > 2 else ON_NONE


def verdicts_table(studies: Sequence[Study]) -> str:
    """One row per claim that was run: its verdict on each data set, what decides it first, and the verdict on all."""
    names = [BEDS[study.profile] for study in studies]
    lines = [f"| Claim, from | {' | '.join(names)} | Verdict |", "|---" * (len(names) + 2) + "|"]
    for claim, found, word in _by_claim(studies, least=1):
        cells = " | ".join(_short(verdict, study.profile) for verdict, study in zip(found, studies, strict=True))
        lines.append(f"| **{claim.id}** {claim.text} ({claim.source}) | {cells} | **{word}** |")
    return "\n".join(lines)


def _by_claim(studies: Sequence[Study], least: int) -> Iterator[tuple[Claim, list[Verdict | None], str]]:
    """Each claim that was run on `least` data sets or more, its verdict on each or None, and the word for all."""
    by_bed = [judge(study) for study in studies]
    for name in sorted({name for verdicts in by_bed for name in verdicts}, key=lambda name: int(name[1:])):
        found = [verdicts.get(name) for verdicts in by_bed]
        found = [verdict if verdict and verdict.verdict not in NOT_JUDGED else None for verdict in found]
        judged = [verdict for verdict in found if verdict]
        if len(judged) >= least:
            yield judged[0].claim, found, together([verdict.verdict for verdict in judged])


def _cell(verdict: Verdict | None) -> str:
    return f"{shown(verdict)}<br>{verdict.verdict}{settle(verdict)}" if verdict else "not run"


def _short(verdict: Verdict | None, profile: str) -> str:
    if verdict is None:
        return "–"
    return f"[{verdict.verdict}]({evidence(verdict.claim, profile)})<br>{_first(verdict)}"


def _first(verdict: Verdict) -> str:
    """What decides a verdict first: of one that is open since a part was not run, that part."""
    absent = [f.part for f in verdict.findings if f.measured is None and f.part.test and not f.part.weaker]
    if absent and verdict.verdict == "inconclusive":
        return f"{absent[0].name}: not run"
    first = deciding(verdict)
    return "<br>".join(f"{each.outcome}: " * (len(first) > 1) + sentence(each.part, value) for each, value in first)
