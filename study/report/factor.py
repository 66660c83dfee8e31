"""One factor of the FA factorial: the tables and charts of notebooks 21 to 23.

share: of the factorial at equal share of the gradient (`study.factorial`), instead of the one with equal w2.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd
from matplotlib.figure import Figure

from dsrl_lib.paths import results_dir
from study.claims.cells import collapsed, without_collapsed
from study.claims.judge import verdict
from study.evidence import Strata, Study
from study.factorial import FACTORS, cell, cells, main_effect, without_fa
from study.figures.cell_charts import factorial
from study.figures.notes import Note, words
from study.report import tables
from study.report.comparison import difference_chart
from study.report.readable import readable
from study.report.results import factorial_cells

NOTHING = Note("No two cells of this factorial were run in this profile, so there is nothing to show.")


def effect_chart(study: Study, claim: str, factor: str, *levels: Sequence[str], share: bool = False) -> Figure | Note:
    """The main effects of a claim above the differences between two cells that they average.

    levels: pairs such as ("to3", "keep").
    """
    if not tables.several_cells(study, share):
        return NOTHING
    findings = verdict(study, claim).findings
    effects = {finding.part.name.replace(" instead of ", "\ninstead of "): finding.measured for finding in findings}
    pairs = [tuple(contrast) for pair in levels for contrast in main_effect(factor, pair, share)]
    return difference_chart(study, effects | {f"{a} − {b}": (a, b) for a, b in pairs}, heads=effects)


def cell_chart(study: Study, share: bool = False) -> Figure | Note:
    """Test mIoU of every cell; parallel lines mean that the factors do not interact."""
    return factorial(factorial_cells(study.runs, cells(share))) if tables.several_cells(study, share) else NOTHING


def gain_chart(study: Study) -> Figure | Note:
    """Each cell minus training without FA, at equal updates."""
    return (
        difference_chart(study, {arm: (arm, without_fa()) for arm in cells()})
        if tables.several_cells(study)
        else NOTHING
    )


def cell_table(study: Study, share: bool = False) -> Note:
    """One row per cell: input, epochs, seeds, mIoU, and differences to training without FA and to the default cell."""
    if not tables.several_cells(study, share):
        return NOTHING
    found = tables.factorial(study, share)
    return Note.table(readable(found).drop(columns="isolates", errors="ignore"))


def strength_table(study: Study) -> Note:
    """One row per cell: mIoU, and how large FA's gradient on the shared encoder is at the start, beside that of CE."""
    path = results_dir() / study.profile / "gradient_shares.csv"
    if not path.exists():
        return Note(f"No gradients measured: `python -m study shares --arm fa --profile {study.profile}` does it.")
    try:
        table = pd.read_csv(path).pivot(index="arm", columns="term", values="gradient")
        ratios = table["fa"] / table["ce"]  # by arm
    except (KeyError, TypeError, ValueError) as error:
        again = f"`python -m study shares --arm fa --profile {study.profile}` writes it again"
        raise ValueError(f"{path} is damaged: {error}; {again}") from None
    rows = []
    for arm in [arm for arm in cells() if arm in ratios.index]:
        ratio, value = ratios[arm], study.single(arm)
        rows.append({
            "cell": arm,
            "FA's gradient / CE's": f"{float(f'{100 * ratio:.2g}'):g} %",  # two digits, and none of them an exponent
            "mIoU": "not run" if value is None else f"{value.estimate:.2f}",
        })  # fmt: skip
    return Note.table(pd.DataFrame(rows))


def effects_without_collapsed(study: Study, factor: str, *levels: Sequence[str], share: bool = False) -> Note:
    """The main effects over all pairs of cells, and over those pairs in which no cell has collapsed."""
    if not tables.several_cells(study, share):
        return NOTHING
    out, rows = collapsed(study, share), []
    for pair in levels:
        strata = main_effect(factor, pair, share)
        kinds: dict[str, Strata] = {"all": strata, "none collapsed": without_collapsed(strata, out)}
        for name, chosen in kinds.items():
            rows.append({
                "effect": f"{pair[0]} − {pair[1]}",
                "pairs of cells": f"{name} ({len(chosen)})",
                "mIoU, points": _measured(study, chosen),
            })  # fmt: skip
    named = f"Collapsed: {', '.join(out)}." if out else "No cell has collapsed."
    return Note(f"{Note.table(pd.DataFrame(rows))}\n\n{named}")


def simple_effects(study: Study, factor: str, *levels: Sequence[str], share: bool = False) -> Note:
    """Each simple effect of a factor, and how much it depends on the level of another factor (interaction).

    An interaction is the effect at one level of the other factor minus that at another level, the mean over the third.
    """
    if not tables.several_cells(study, share):
        return NOTHING
    rows = []
    others = {name: values for name, values in FACTORS.items() if name != factor}
    for pair in levels:
        for contrast in main_effect(factor, pair, share):
            rows.append({"kind": "simple effect", "difference": " − ".join(contrast),
                         "mIoU, points": _measured(study, [contrast])})  # fmt: skip
        for other, values in others.items():
            third = next(name for name in others if name != other)
            for one, two in combinations(values, 2):
                strata = [
                    {
                        cell(**{factor: level, other: at, third: fixed}, share=share): sign * weight
                        for level, sign in zip(pair, (1.0, -1.0), strict=True)
                        for at, weight in ((one, 1.0), (two, -1.0))
                    }
                    for fixed in others[third]
                ]
                rows.append({
                    "kind": f"interaction with {other}",
                    "difference": f"({pair[0]} − {pair[1]} at {one}) − (the same at {two})",
                    "mIoU, points": _measured(study, strata),
                })  # fmt: skip
    return Note.table(pd.DataFrame(rows))


def _measured(study: Study, strata: Sequence[Mapping[str, float]]) -> str:
    """The mean over strata with its interval, or "not run"."""
    run = strata and all(study.seeds(list(arms)) for arms in strata)
    return words(study.contrast(strata)) if run else "not run"
