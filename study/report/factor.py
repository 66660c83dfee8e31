"""One factor of the FA factorial: the tables and charts of notebooks 21 to 23."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from study.arms import FA_ARMS
from study.claims.judge import verdict
from study.claims.rules import main_effect
from study.evidence import Study
from study.figures import plots
from study.figures.notes import Note
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
