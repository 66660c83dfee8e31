"""One factor of the FA factorial: the tables and charts of notebooks 21 to 23."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from dsrl_lib.paths import results_dir
from study.arms import FA_ARMS
from study.claims.judge import verdict
from study.claims.rules import load_rules, main_effect
from study.evidence import Study
from study.figures import plots
from study.figures.notes import Note, words
from study.report import tables
from study.report.comparison import difference_chart
from study.report.results import factorial_cells

CELLS = ("dsrl", *FA_ARMS)
WITHOUT_FA = "sssr_sisr_long"


def factor_answers(study: Study, claim: str) -> Note:
    """The main effects that a claim is about, one sentence each."""
    found = verdict(study, claim)
    return Note("\n\n".join(
        study.answer(finding.part.name, finding.measured, found.verdict, finding.missing) for finding in found.findings
    ))  # fmt: skip


def effect_chart(study: Study, claim: str, factor: str, *levels: Sequence[str]) -> Figure | Note:
    """The main effects of a claim above the differences between two cells that they average.

    levels: pairs such as ("to3", "keep").
    """
    findings = verdict(study, claim).findings
    effects = {finding.part.name.replace(" instead of ", "\ninstead of "): finding.measured for finding in findings}
    pairs = [tuple(contrast) for pair in levels for contrast in main_effect(factor, pair)]
    return difference_chart(study, effects | {f"{a} − {b}": (a, b) for a, b in pairs})


def cell_chart(study: Study) -> Figure | Note:
    """Test mIoU of every cell; parallel lines mean that the factors do not interact."""
    cells = factorial_cells(study.runs)
    return plots.factorial(cells) if len(cells) else Note("No cell was run.")


def gain_chart(study: Study) -> Figure | Note:
    """Each cell minus training without FA, at equal updates."""
    return difference_chart(study, {arm: (arm, WITHOUT_FA) for arm in CELLS})


def cell_table(study: Study) -> Note:
    """One row per cell: input, epochs, seeds, mIoU, and differences to training without FA and to `dsrl`."""
    return Note.table(tables.readable(tables.factorial(study)).drop(columns="isolates", errors="ignore"))


def strength_table(study: Study) -> Note:
    """One row per cell: mIoU, and how large FA's gradient on the shared encoder is at the start, beside that of CE."""
    path = results_dir() / study.profile / "gradient_shares.csv"
    if not path.exists():
        return Note(f"No gradients measured: `python -m study shares --arm fa --profile {study.profile}` does it.")
    table = pd.read_csv(path).pivot(index="arm", columns="term", values="gradient")
    rows = []
    for arm in [arm for arm in CELLS if arm in table.index]:
        ratio, value = table.loc[arm, "fa"] / table.loc[arm, "ce"], study.single(arm)
        rows.append({
            "cell": arm,
            "FA's gradient / CE's": f"{100 * ratio:.2g} %",
            "mIoU": "not run" if value is None else f"{value.estimate:.2f}",
        })  # fmt: skip
    return Note.table(pd.DataFrame(rows))


def collapsed(study: Study) -> list[str]:
    """Cells whose whole interval lies more than the smallest effect of interest below training without FA."""
    found = {arm: study.difference(arm, WITHOUT_FA) for arm in CELLS}
    return [arm for arm, value in found.items() if value is not None and value.high < -load_rules().interest]


def effects_without_collapsed(study: Study, factor: str, *levels: Sequence[str]) -> Note:
    """The main effects over all pairs of cells, and over those pairs in which no cell has collapsed."""
    out, rows = collapsed(study), []
    for pair in levels:
        strata = main_effect(factor, pair)
        kept = [arms for arms in strata if not set(arms) & set(out)]
        for name, chosen in {"all": strata, "none collapsed": kept}.items():
            measured = chosen and all(study.seeds(list(arms)) for arms in chosen)
            rows.append({
                "effect": f"{pair[0]} − {pair[1]}",
                "pairs of cells": f"{name} ({len(chosen)})",
                "mIoU, points": words(study.contrast(chosen)) if measured else "not run",
            })  # fmt: skip
    named = f"Collapsed: {', '.join(out)}." if out else "No cell has collapsed."
    return Note(f"{Note.table(pd.DataFrame(rows))}\n\n{named}")
