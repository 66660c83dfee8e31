"""One and two seeds have no interval in tables, charts and sentences; variants and large differences have own axes."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_runs import MadeUpRun

from study.claims.judge import verdict
from study.evidence import Study
from study.figures import gain_panels, interval_charts, plots
from study.figures.notes import words
from study.report import tables
from study.report.comparison import class_answers, difference_table
from study.report.intervals import contrasts, settle_table
from study.report.main_results import main_table
from study.report.where import class_difference_table, ring_table
from study.statistics.bootstrap import Difference
from study.statistics.scores import Resamples


def gain(estimate: float, seeds: int, shape: tuple[int, ...] = ()) -> Difference:
    values = [np.full(shape, estimate + step) if shape else estimate + step for step in (0, -1.5, 2.5)]
    per_seed = np.full((seeds, *shape), estimate)
    return Difference(*values, per_seed, tuple(range(seeds)), 8, 2, ("seeds",), 0.1, 0.6, 0.6)


@pytest.fixture
def study(monkeypatch) -> Study:
    monkeypatch.setattr(Resamples, "of", partial(Resamples.of, resamples=200))
    seeds = {"lr": range(3), "dsrl": range(3), "dsrl_joint": range(2), "hr": range(1)}
    return Study("camvid", [MadeUpRun(arm, seed, 50.0) for arm, of in seeds.items() for seed in of])


def test_tables_leave_the_interval_of_two_seeds_blank_and_keep_their_mean(study):
    main = tables.main(study)
    known = main[["mIoU", "mIoU low", "minus lr", "minus lr high"]].notna()
    assert known.loc["dsrl"].all()
    for few in ("dsrl_joint", "hr"):
        assert known.loc[few].tolist() == [True, False, True, False]
    found = tables.differences(study, [("dsrl", "lr"), ("hr", "lr")])
    assert found["difference low"].isna().tolist() == [False, True]


def test_differences_that_were_not_run_are_named_below_the_table(study):
    table, below = difference_table(study, [("dsrl", "lr"), ("adaptive", "lr")]).split("\n\n")
    assert "dsrl − lr" in table and "adaptive" not in table and below == "**Not run:** adaptive − lr."
    assert difference_table(study, [("adaptive", "lr")]) == below


def test_the_main_table_leaves_other_methods_to_their_notebooks(study):
    shown = main_table(study)
    assert "| dsrl " in shown and "main.csv" not in shown
    both = Study("camvid", [*study.runs, *(MadeUpRun(arm, 0, 50.0) for arm in ("relaxed", "adaptive"))])
    assert {"relaxed", "adaptive"} <= {*tables.main(both).index}
    assert "| relaxed " not in main_table(both) and "| adaptive " not in main_table(both)
    assert "`tables/main.csv` also has the arms of `31_label_relaxation`" in main_table(both)


def test_what_would_settle_a_question_is_asked_of_unclear_parts_alone(study):
    """Not of C4: the larger input is far above."""
    runs = [MadeUpRun("mac_matched", seed, 60.0) for seed in range(3)]
    study = Study("camvid", [*study.runs, *runs])
    names = [*contrasts(study)]
    assert names[0] == "C1 dsrl − lr" and "C4 dsrl − mac_matched" in names
    outcomes = {finding.part.quantity: finding.outcome for finding in verdict(study, "C1").findings}
    assert outcomes == {"dsrl − lr": "no"} and verdict(study, "C4").findings[1].outcome == "no"
    assert [*contrasts(study, unclear=True)] == []
    assert "No part of a claim is unclear" in settle_table(study)


def test_the_interval_that_judges_is_named():
    old, new = gain(0.3, 3), SimpleNamespace(low=-0.5, high=1.0)
    for kind, name in (("bootstrap", "two-level bootstrap"), ("random effects", "random effects")):
        axes = interval_charts.interval_pairs({"dsrl − lr": (old, new)}, kind).axes[0]
        shown = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(shown) == 2 and [text for text in shown if "judges" in text] == [f"{name}, which judges the claims"]


def test_charts_show_one_and_two_seeds_as_points():
    (axes,) = interval_charts.forest({f"{n} seeds": gain(0.3, n) for n in (1, 2, 3)}).axes
    assert [text.get_text() for text in axes.texts] == [
        "+0.30  no interval  1 seed", "+0.30  no interval  2 seeds", "+0.30  [−1.20, +2.80]  3 seeds",
    ]  # fmt: skip
    bars = [line for line in axes.lines if list(line.get_xdata()) == [-1.2, 2.8]]
    assert len(bars) == 1


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_charts_by_class_and_distance_draw_no_interval_of_one_and_two_seeds(seeds):
    """Each draws its intervals as one collection: bars, or a band."""
    values = {"dsrl": gain(0.3, seeds, (5,))}
    charts = (
        plots.class_differences("abcde", values),
        interval_charts.rings(values, (1, 2, 4, 8)),
        gain_panels.trimap_gains(values, (1, 2, 4, 8, 16), "points"),
    )
    assert [len(chart.axes[0].collections) for chart in charts] == [seeds == 3] * 3


def test_sentences_give_no_interval_of_one_and_two_seeds(study):
    few = "(too few seeds for an interval)"
    assert [words(gain(-0.3, n)) for n in (1, 2, 3)] == [
        f"−0.30 mIoU points {few}, 1 seed", f"−0.30 mIoU points {few}, 2 seeds",
        "−0.30 mIoU points [−1.80, +2.20], 3 seeds",
    ]  # fmt: skip
    assert (
        class_answers(study, [("hr", "lr")]).splitlines()[-1]
        == "- **hr − lr**: too few seeds for an interval (1 seed)."
    )


def test_variants_and_large_differences_have_axes_of_their_own():
    rows = {"dsrl − lr": gain(0.4, 3), "dsrl − bilinear": gain(0.2, 3), "dsrl − lr\n@second_host": gain(-1.5, 3),
            "sssr_random − lr": gain(-14, 3)}  # fmt: skip
    panels = interval_charts.forest(rows).axes
    names = [[label.get_text() for label in axes.get_yticklabels()] for axes in panels]
    assert names == [["dsrl − lr", "dsrl − bilinear"], ["dsrl − lr\n@second_host"], ["sssr_random − lr"]]


def test_rings_have_a_scale_of_their_own():
    narrow, wide = gain(0.1, 3, (6,)), gain(4.0, 3, (6,))
    wide = Difference(**{**vars(wide), "high": np.full(6, 40.0)})
    first, second = interval_charts.rings({"HR labels": narrow, "larger input": wide}, (1, 2, 4, 8, 16)).axes
    assert first.get_ylim()[1] < 5 and second.get_ylim()[1] > 40
    assert "bars: 95 % intervals" in first.figure.get_supxlabel()


def test_tables_of_rings_and_classes_have_the_numbers_of_the_differences(study, monkeypatch):
    values = {"rings": gain(0.5, 3, (6,)), "trimap": gain(0.85, 3, (5,)), "classes": gain(7.0, 2, (11,))}
    values["classes"].estimate[1] = np.nan  # a class that the test split does not have
    monkeypatch.setattr(study, "difference", lambda a, b, kind: values[kind] if a == "dsrl" else None)
    pairs = {"all": ("dsrl", "lr"), "not run": ("adaptive", "lr")}
    head, _, row = (line.split("|") for line in ring_table(study, pairs).splitlines())
    assert [cell.strip() for cell in head[1:-1]] == [
        "pixels from a boundary", "1", "2", "3–4", "5–8", "9–16", "> 16", "≤ 4",
    ]  # fmt: skip
    assert row[2].strip() == "+0.50 [−1.00, +3.00]" and row[-2].strip() == "+0.85 [−0.65, +3.35]"
    found = class_difference_table(study, pairs).splitlines()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found]
    assert lines[0] == ["class", "all"] and lines[2] == ["Sky", "+7.00"] and lines[3] == ["Building", ""]
    assert "Not run" in ring_table(study, {"not run": ("adaptive", "lr")})
