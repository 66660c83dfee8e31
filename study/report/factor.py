"""One factor of the FA factorial: the tables and charts of notebooks 21 to 23.

claim: one on main effects of that factor, over cells with equal w2 or over those at equal share of the gradient.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import pandas as pd
from matplotlib.figure import Figure

from dsrl_lib.paths import results_dir
from study.claims.cells import collapsed, without_collapsed
from study.claims.judge import verdict
from study.claims.rules import load_rules
from study.evidence import Pair, Strata, Study
from study.factorial import FACTORS, cell, cells, main_effect, without_fa
from study.figures.cell_charts import factorial
from study.figures.notes import Note, words
from study.report import tables
from study.report.comparison import difference_chart
from study.report.readable import readable
from study.report.results import factorial_cells
from study.statistics.bootstrap import Difference


def factorials_run(study: Study, *claims: str) -> list[str]:
    """Those of the claims whose factorial was run in this profile: two cells of it, or more."""
    return [claim for claim in claims if tables.several_cells(study, at_equal_share(claim))]


def at_equal_share(claim: str) -> bool:
    """Whether a claim is about the cells at equal share of the gradient."""
    return any(effect.get("share", False) for effect in _effects(claim))


def cells_of(claim: str) -> list[str]:
    """The cells that a claim is about."""
    return cells(at_equal_share(claim))


def effect_chart(study: Study, claim: str) -> Figure | Note:
    """The main effects of a claim above the differences between two cells that they average."""
    findings = verdict(study, claim).findings
    effects = {finding.part.name.replace(" instead of ", "\ninstead of "): finding.measured for finding in findings}
    shown: dict[str, Pair | Difference | None] = dict(effects)
    for effect in _effects(claim):
        a, b = effect["levels"]
        others = product(*(levels for name, levels in FACTORS.items() if name != effect["factor"]))
        for contrast, rest in zip(main_effect(**effect), others, strict=True):
            one, other = contrast
            shown[f"{a} − {b} at {' / '.join(rest)}"] = one, other
    return difference_chart(study, shown, heads=effects)


def cell_chart(study: Study, claim: str) -> Figure:
    """Test mIoU of every cell; parallel lines mean that the factors do not interact."""
    return factorial(factorial_cells(study.runs, cells_of(claim)))


def gain_chart(study: Study, claim: str) -> Figure | Note:
    """Each cell minus training without FA, at equal updates."""
    without = without_fa(at_equal_share(claim))
    return difference_chart(study, {arm: (arm, without) for arm in cells_of(claim)})


def cell_table(study: Study, claim: str) -> Note:
    """One row per cell: input, epochs, seeds, mIoU, and differences to training without FA and to the default cell."""
    found = tables.factorial(study, at_equal_share(claim))
    return Note.table(readable(found).drop(columns="isolates"))


def strength_table(study: Study, claim: str) -> Note:
    """One row per cell: mIoU, and how strongly FA acts on the shared encoder.

    At equal w2, the size of its gradient at the start beside that of CE; at equal share, the w2 that makes it equal at
    the start, and the share that FA has at the end.
    """
    if at_equal_share(claim):
        found = tables.factorial_share(study)
        return Note.table(readable(found.drop(columns=[name for name in found if name.startswith("minus ")])))
    again = f"`python -m study shares --arm fa --profile {study.profile}`"
    path = results_dir() / study.profile / "gradient_shares.csv"
    if not path.exists():
        return Note(f"No gradients measured: {again} does it.")
    try:
        table = pd.read_csv(path).pivot(index="arm", columns="term", values="gradient")
        ratios = table["fa"] / table["ce"]  # by arm
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}; {again} writes it again") from None
    rows = []
    for arm in sorted((arm for arm in cells() if arm in ratios.index), key=lambda arm: ratios[arm]):
        ratio, value = ratios[arm], study.single(arm)
        rows.append({
            "cell": arm,
            "FA's gradient / CE's": f"{float(f'{100 * ratio:.2g}'):g} %",  # two digits, and none of them an exponent
            "mIoU": "not run" if value is None else f"{value.estimate:.2f}",
        })  # fmt: skip
    return Note.table(pd.DataFrame(rows))


def effects_without_collapsed(study: Study, claim: str) -> Note:
    """The main effects over all pairs of cells, and over those pairs in which no cell has collapsed."""
    out, rows = collapsed(study, at_equal_share(claim)), []
    for effect in _effects(claim):
        strata = main_effect(**effect)
        kinds: dict[str, Strata] = {"all": strata, "none collapsed": without_collapsed(strata, out)}
        for name, chosen in kinds.items():
            rows.append({
                "effect": " − ".join(effect["levels"]),
                "pairs of cells": f"{name} ({len(chosen)})",
                "mIoU, points": _measured(study, chosen),
            })  # fmt: skip
    named = f"Collapsed: {', '.join(out)}." if out else "No cell has collapsed."
    return Note(f"{Note.table(pd.DataFrame(rows))}\n\n{named}")


def simple_effects(study: Study, claim: str) -> Note:
    """Each simple effect of a factor, and how much it depends on the level of another factor (interaction).

    An interaction is the effect at one level of the other factor minus that at another level, the mean over the third.
    """
    rows = []
    for effect in _effects(claim):
        factor, pair, share = effect["factor"], effect["levels"], effect.get("share", False)
        others = {name: values for name, values in FACTORS.items() if name != factor}
        for contrast in main_effect(**effect):
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


def _effects(claim: str) -> list[Mapping]:
    """What `main_effect` takes, for each part of a claim."""
    return [part.effect for part in load_rules().claim(claim).parts]


def _measured(study: Study, strata: Sequence[Mapping[str, float]]) -> str:
    """The mean over strata with its interval, or "not run"."""
    run = strata and all(study.seeds(list(arms)) for arms in strata)
    return words(study.contrast(strata)) if run else "not run"
