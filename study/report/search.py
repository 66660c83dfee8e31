"""How the recipe was chosen: the runs of the search, by side (20_search)."""

import re
from collections.abc import Mapping

import pandas as pd

from study.evidence import Study
from study.figures.notes import Answer
from study.report import tables

SIDES = {"recipe, with bilinear alone": ("bilinear",), "the method": ("sssr_sisr", "dsrl", "dsrl_joint")}


def search_sides(study: Study) -> dict[str, pd.DataFrame]:
    """The runs of the search for the baseline and for the method, one row per run."""
    found = tables.search(study, scan=False)
    return {side: found[found["arm"].isin(arms)] if len(found) else found for side, arms in SIDES.items()}


def search_answers(sides: Mapping[str, pd.DataFrame]) -> Answer:
    """The best run on val of each side, one sentence each."""
    return Answer("\n\n".join(_best(side, runs) for side, runs in sides.items()))


def _best(side: str, runs: pd.DataFrame) -> str:
    if not len(runs):
        return f"**{side}: no search runs in this profile.**"
    best = runs.loc[runs["val mIoU"].idxmax()]
    seeds = sorted({int(re.findall(r"-s(\d+)-", run)[0]) for run in runs.index})
    which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return (
        f"**{side}: {len(runs)} runs with {which}; the best on val is {best['arm']} with "
        f"{best['changed']} changed, {best['val mIoU']:.2f} mIoU points.**"
    )
