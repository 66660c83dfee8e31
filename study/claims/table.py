"""Verdicts for readers: results/<profile>/claims.csv, and the table that README.md and REPORT.md show."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from dsrl_lib.paths import results_dir
from dsrl_lib.records import write_atomically
from study.claims.judge import MORE_IMAGES, Finding, Verdict, judge
from study.claims.rules import UNCLEAR, Claim, Part
from study.evidence import Study
from study.figures.notes import ends, seeds_of, signed, some
from study.statistics.bootstrap import Difference

COLUMNS = (
    "claim", "text", "source", "verdict", "part", "quantity", "outcome", "estimate", "low", "high",
    "smallest_effect", "detectable_effect", "sd_seed", "seeds", "images", "blocks", "levels", "seeds_to_settle",
    "seeds_with_4x_images", "rule", "missing", "runs",
)  # fmt: skip


def claims_frame(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row per part: claim, verdict, quantity, interval, resolution, outcome, what would settle it, runs."""
    rows = []
    for verdict in verdicts:
        claim = verdict.claim
        head: dict[str, object] = {"claim": claim.id, "text": claim.text, "source": claim.source}
        head["verdict"] = verdict.verdict
        rows += [head | _row(finding) for finding in _findings(verdict)] or [head]
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return frame.astype(dict.fromkeys(("seeds", "images", "blocks"), "Int64"))


def write_claims(study: Study) -> Path:
    """Write claims.csv of the study's profile; the same runs always give the same bytes. ValueError without runs."""
    if not study.runs:
        raise ValueError(f"profile {study.profile} has no complete run in {results_dir()}")
    path = results_dir() / study.profile / "claims.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = claims_csv(study)
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))
    return path


def claims_csv(study: Study) -> str:
    """The content of claims.csv."""
    return claims_frame(judge(study).values()).to_csv(index=False, float_format="%.4f", lineterminator="\n")


def markdown(verdicts: Iterable[Verdict], profile: str) -> str:
    """The claims as a table: quantities with intervals, resolution, verdict, and links to the evidence."""
    lines = ["| Claim, from | Measured: mIoU points, 95 % interval | Verdict |", "|---|---|---|"]
    for verdict in verdicts:
        claim = verdict.claim
        links = f"<br>[evidence]({evidence(claim, profile)}), [runs](results/{profile}/claims.csv)"
        lines.append(
            f"| **{claim.id}** {claim.text} ({claim.source}) | {shown(verdict)} "
            f"| **{verdict.verdict}**{settle(verdict)}{links if claim.notebook and _findings(verdict) else ''} |"
        )
    return "\n".join(lines)


def shown(verdict: Verdict) -> str:
    """What was measured for each quantity of a claim, as a cell of a table."""
    found = _quantities(verdict)
    absent = [finding for finding in found if finding.measured is None]
    lines = [sentence(finding.part, finding.measured) for finding in found if finding.measured is not None]
    if absent:
        missing = some(list(dict.fromkeys(arm for finding in absent for arm in finding.missing)))
        what = absent[0].part.name if len(absent) == 1 else f"{len(absent)} {'other ' if lines else ''}quantities"
        lines.append(f"{what}: not run ({missing})")
    return "<br>".join(lines)


def sentence(part: Part, measured: Difference) -> str:
    """What was measured for one quantity: its interval, if it has one, and the minimum detectable effect."""
    seeds = seeds_of(measured)
    if "turns" in measured.levels:
        spread = ends(measured.low, measured.high, plus="")
        return f"{part.name}: {measured.estimate:.2f} {spread} ({len(measured.per_seed)} turns)"
    if part.cost:
        return f"{part.name}: {measured.estimate:.2f} ({seeds})"
    if not measured.interval_shown:
        return f"{part.name}: {signed(measured.estimate)} ({seeds}, too few for an interval)"
    numbers = f"{signed(measured.estimate)} {ends(measured.low, measured.high)}"
    return f"{part.name}: {numbers} ({seeds}, detects {measured.detectable_effect:.2f})"


def deciding(verdict: Verdict) -> list[tuple[Finding, Difference]]:
    """The first quantity that decides a verdict, with what was measured; of `partly` the first no and the first yes."""
    outcomes = {"reproduced": ["yes"], "inconclusive": [UNCLEAR], "partly": ["no", "yes"]}.get(verdict.verdict, ["no"])
    measured = [(finding, finding.measured) for finding in verdict.findings if finding.measured is not None]

    def first(wanted: str) -> tuple[Finding, Difference]:  # a gate last
        return min(measured, key=lambda each: (each[0].outcome != wanted, each[0].part.gate, each[0].part.weaker))

    return [first(wanted) for wanted in outcomes]


def evidence(claim: Claim, profile: str) -> str:
    """The executed notebook that shows a claim, from the repository's root."""
    return f"results/{profile}/notebooks/{claim.notebook}.ipynb"


def _findings(verdict: Verdict) -> tuple[Finding, ...]:
    """Those that tables show: none of a claim whose runs come later."""
    return () if verdict.verdict == "later" else verdict.findings


def _quantities(verdict: Verdict) -> list[Finding]:
    found: dict[str, Finding] = {}
    for finding in _findings(verdict):
        found.setdefault(finding.part.quantity, finding)  # two parts may test one quantity
    return list(found.values())


def _row(finding: Finding) -> dict[str, object]:
    part, measured = finding.part, finding.measured
    row: dict[str, object] = {"part": part.name, "quantity": part.quantity, "outcome": finding.outcome}
    if measured is not None:
        names = ("estimate", "low", "high", "smallest_effect", "detectable_effect", "sd_seed")
        row |= {name: getattr(measured, name) for name in names}
        row |= {"seeds": len(measured.seeds), "images": measured.images, "blocks": measured.blocks}
        row["levels"] = " ".join(measured.levels)
    row |= {"seeds_to_settle": finding.settle, "seeds_with_4x_images": finding.settle_more_images}
    row["rule"] = part.test.words if part.test else ""
    return row | {"missing": "; ".join(finding.missing), "runs": " ".join(finding.runs)}


def settle(verdict: Verdict) -> str:
    """What an inconclusive verdict needs to be settled, with the name of each part if several are open; or ""."""
    if verdict.verdict != "inconclusive":
        return ""
    unclear = [f for f in verdict.findings if f.outcome == UNCLEAR and not f.part.weaker]
    missing = list(dict.fromkeys(arm for finding in unclear for arm in finding.missing))
    needs = [f"runs of {some(missing)}"] if missing else []
    measured = [(f, f.settle <= len(f.measured.seeds)) for f in unclear if f.measured is not None]
    short = [finding for finding, enough in measured if not enough]
    if measured and not needs and not short:
        return ": the estimate is close to a limit of its rule"
    needs += [f"{_needed(f)} ({f.part.name})" if len(short) > 1 or missing else _needed(f) for f in short]
    if not needs:
        return ""
    *others, last = needs
    return f": {', '.join(others)}{' and ' if others else ''}{last} would settle it"


def _needed(finding: Finding) -> str:
    """Seeds, or seeds and images, with which 80 % of studies find a true effect of the size of interest."""
    if np.isnan(finding.settle):
        return "a second seed, to estimate the spread between seeds"
    if np.isfinite(finding.settle):
        return f"about {finding.settle:.0f} seeds"
    more = finding.settle_more_images
    return "many more images" if np.isinf(more) else f"about {more:.0f} seeds with {MORE_IMAGES} times the images"
