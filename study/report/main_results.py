"""The figures and files of 41_main_results."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from dsrl_lib.paths import results_dir
from study.arms import DOWNSAMPLING_ARMS, RELAXATION_ARMS
from study.evidence import Study
from study.figures import plots, style
from study.figures.notes import Note
from study.report import reported, tables
from study.report.comparison import FULL_LENGTH, UPPER_BOUND, accuracy_cost_chart, arm_chart, difference_chart
from study.report.histories import histories
from study.report.readable import readable
from study.report.variants import gain_pairs

CLAIMED = 2
"""mIoU points that the paper claims for DSRL minus the LR baseline."""

COMPARED_BY_COST = ("lr", "bilinear", "dsrl", "mac_matched", "hr")
"""The arms of the figure of accuracy against MACs; 42_cost has those of all systems."""


def reported_table(study: Study) -> Note:
    """The paper, the public implementations and this study side by side."""
    return Note.table(reported.side_by_side(study))


def main_table(study: Study) -> Note:
    """One row per arm: test mIoU with interval, and differences to the two baselines.

    Without the arms of the other methods, which have notebooks of their own.
    """
    found = tables.main(study)
    others = found.index.isin([*RELAXATION_ARMS, *DOWNSAMPLING_ARMS])
    below = "\n\n`tables/main.csv` also has the arms of `31_label_relaxation` and `33_adaptive_downsampling`."
    return Note(Note.table(readable(found[~others])) + below * bool(others.any()))


def class_heat_chart(study: Study) -> Figure | Note:
    """IoU by arm and class, without the classes that the test split does not have."""
    # The first row is the baseline.
    heat = tables.classes(study).filter(items=list(FULL_LENGTH), axis="index").dropna(axis="columns", how="all")
    return plots.class_heat(heat, beyond=UPPER_BOUND) if len(heat) else Note("No runs.")


def gain_chart(study: Study) -> Figure | Note:
    """The table of differences, and what the method gains in the variants that have a table of their own."""
    pairs = [*tables.main_pairs(study), *gain_pairs(study.profile)]
    return difference_chart(study, pairs, claimed={("dsrl", "lr"): CLAIMED})


def validation_chart(study: Study) -> Figure | Note:
    """Validation mIoU during training; the curve of an arm goes through the stages before it.

    Without the upper bound, which would set the scale.
    """
    ends = [arm for arm in FULL_LENGTH if arm in study.arms and arm != UPPER_BOUND]
    return plots.validation_curves({arm: histories(study, arm) for arm in ends}) if ends else Note("No runs.")


def main_figures(study: Study) -> dict[str, Figure | Note]:
    """The figures of results/<profile>/figures by file name; a note instead of one whose runs are missing."""
    return {
        "arms": arm_chart(study),
        "differences": gain_chart(study),
        "cost": accuracy_cost_chart(study, COMPARED_BY_COST, "macs_pruned", "MACs of one frame (millions)", unit=1e6),
        "classes": class_heat_chart(study),
        "validation": validation_chart(study),
    }


def write_main_results(study: Study, figures: Mapping[str, Figure | Note]) -> list[Path]:
    """Write tables, and the figures as .png and .pdf; equal runs give equal bytes."""
    written = tables.write(study)
    folder = results_dir() / study.profile / "figures"
    for name, figure in figures.items():
        if isinstance(figure, Figure):
            written += [style.save(figure, folder / f"{name}.{kind}") for kind in ("png", "pdf")]
    return written
