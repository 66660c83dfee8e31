"""What an audit must refuse: stale runs, stored scores and printed numbers that the counts do not give."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dsrl_lib.analysis.claims import evaluate_claims
from dsrl_lib.analysis.claims_table import PUBLISHED, markdown, split_readme
from dsrl_lib.analysis.results import SPLITS, Run
from dsrl_lib.metrics import miou
from dsrl_lib.paths import root

_NUMBER = re.compile(r"[+−]?\d+(?:\.\d+)?")


def problems(runs: Sequence[Run]) -> pd.DataFrame:
    """Stale runs, and mIoU in metrics.json that the counts do not give.

    Columns run_id, problem; no row if all is well.
    """
    found = [(run.run_id, run.stale) for run in runs if run.stale]
    for run in runs:
        for split in SPLITS:
            stored, counted = run.metrics[split]["miou"], miou(run.counts(split).counts)
            if not np.isclose(stored, counted, rtol=0, atol=1e-9):
                problem = f"{split} mIoU: {stored} in metrics.json, {counted} from the counts"
                found.append((run.run_id, problem))
    return pd.DataFrame(found, columns=["run_id", "problem"])


def readme_numbers(profile: str = PUBLISHED, readme: Path | None = None) -> pd.DataFrame:
    """Every number of the README table beside the one computed again from the counts.

    Columns claim, shown, recomputed, agrees. A row that is missing on one side has blanks there and does
    not agree.
    """
    _, shown, _ = split_readme(readme or root() / "README.md")
    fresh = markdown(evaluate_claims(profile), profile)
    rows = []
    for old, new in _pairs(shown.strip().splitlines(), fresh.splitlines()):
        claim = re.search(r"\*\*(C\d+)\*\*", old + new)
        for number, again in _pairs(_NUMBER.findall(old), _NUMBER.findall(new)):
            name = claim[1] if claim else ""
            rows.append({"claim": name, "shown": number, "recomputed": again, "agrees": number == again})
    return pd.DataFrame(rows, columns=["claim", "shown", "recomputed", "agrees"])


def _pairs(left: Sequence[str], right: Sequence[str]) -> list[tuple[str, str]]:
    size = max(len(left), len(right))
    return list(zip([*left, *[""] * (size - len(left))], [*right, *[""] * (size - len(right))], strict=True))
