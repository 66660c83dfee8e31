"""How the recipe was chosen: the runs of the search, by side, and runs beside it that chose nothing (20_search)."""

from collections.abc import Mapping

import pandas as pd

from study.evidence import Study
from study.figures.notes import Answer
from study.profiles import SEARCH_SEEDS
from study.report import tables

SIDES = {"recipe, with bilinear alone": ("bilinear",), "the method": ("sssr_sisr", "dsrl", "dsrl_joint")}
BESIDE = "beside the search: finer maps for the SISR branch"
"""Runs with `model.sisr_taps`: a question of its own, by which nothing was chosen."""


def search_sides(study: Study) -> dict[str, pd.DataFrame]:
    """The runs of the search for the baseline and for the method, one row per run; then those of BESIDE, if any."""
    found = tables.search(study, scan=False)
    if not len(found):
        return dict.fromkeys(SIDES, found)
    beside = found["changed"].str.contains("model.sisr_taps", regex=False)
    sides = {side: found[found["arm"].isin(arms) & ~beside] for side, arms in SIDES.items()}
    return sides | ({BESIDE: found[beside]} if beside.any() else {})


def search_answers(sides: Mapping[str, pd.DataFrame]) -> Answer:
    """The best run on val of each side, one sentence each."""
    return Answer("\n\n".join(_best(side, sides[side]) for side in SIDES))


def _best(side: str, runs: pd.DataFrame) -> str:
    if not len(runs):
        return f"**{side}: no search runs in this profile.**"
    best = runs.loc[runs["val mIoU"].idxmax()]
    number = f"{len(runs)} run{'s' * (len(runs) > 1)} with seed {SEARCH_SEEDS[0]}"
    return (
        f"**{side}: {number}; the best on val is {best['arm']} with {best['changed']} changed, "
        f"{best['val mIoU']:.2f} mIoU points.**"
    )
