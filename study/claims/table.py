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
from study.figures.notes import some
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
    lines = [
        "| Claim, from | Measured: mIoU points, 95 % interval | Minimum detectable effect | Verdict |",
        "|---|---|---|---|",
    ]
    for verdict in verdicts:
        claim = verdict.claim
        links = f"<br>[evidence]({evidence(claim, profile)}), [runs](results/{profile}/claims.csv)"
        detectable = "<br>".join(
            _detectable(finding.part, finding.measured)
            for finding in _quantities(verdict) if finding.measured is not None
        )  # fmt: skip
        settle = _settle(verdict) if verdict.verdict == "inconclusive" else ""
        lines.append(
            f"| **{claim.id}** {claim.text} ({claim.source}) | {shown(verdict)} | {detectable} "
            f"| **{verdict.verdict}**{settle}{links if claim.notebook and _findings(verdict) else ''} |"
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
    """What was measured for one quantity."""
    seeds = f"{len(measured.seeds)} seed{'s' * (len(measured.seeds) > 1)}"
    if "turns" in measured.levels:
        spread = f"[{measured.low:.2f}, {measured.high:.2f}]"
        return f"{part.name}: {measured.estimate:.2f} {spread} ({len(measured.per_seed)} turns)"
    if part.cost:
        return f"{part.name}: {measured.estimate:.2f} ({seeds})"
    only = "" if "seeds" in measured.levels else ", images only"
    numbers = f"{measured.estimate:+.2f} [{measured.low:+.2f}, {measured.high:+.2f}]".replace("-", "−")
    return f"{part.name}: {numbers} ({seeds}{only})"


def deciding(verdict: Verdict) -> tuple[Part, Difference]:
    """The first quantity that decides a verdict, with what was measured: of those with its outcome, a gate last."""
    wanted = {"reproduced": "yes", "inconclusive": UNCLEAR}.get(verdict.verdict, "no")
    measured = [(finding, finding.measured) for finding in verdict.findings if finding.measured is not None]
    found, value = min(measured, key=lambda pair: (pair[0].outcome != wanted, pair[0].part.gate, pair[0].part.weaker))
    return found.part, value


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


def _detectable(part: Part, measured: Difference) -> str:
    return "–" if part.cost else f"{measured.detectable_effect:.2f}"


def _settle(verdict: Verdict) -> str:
    """What an inconclusive verdict needs to be settled."""
    unclear = [f for f in verdict.findings if f.outcome == UNCLEAR and not f.part.weaker]
    missing = list(dict.fromkeys(arm for finding in unclear for arm in finding.missing))
    needs = [f"runs of {some(missing)}"] if missing else []
    measured = [finding for finding in unclear if finding.measured is not None]
    enough = [f.settle <= len(f.measured.seeds) for f in unclear if f.measured is not None]
    if not needs and measured and all(enough):
        return ": the estimate is close to a limit of its rule"
    needed = max((finding.settle for finding in measured), default=0)
    if any(np.isnan(finding.settle) for finding in measured):
        needs.append("a second seed, to estimate the spread between seeds")
    elif np.isinf(needed):
        more = max(finding.settle_more_images for finding in measured)
        with_more = f"about {more:.0f} seeds with {MORE_IMAGES} times the images"
        needs.append("many more images" if np.isinf(more) else with_more)
    elif needed:
        needs.append(f"about {needed:.0f} seeds")
    return f": {' and '.join(needs)} would settle it" if needs else ""
