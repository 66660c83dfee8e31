"""No interval from one or two seeds, in tables and charts; variants and large differences have axes of their own."""

from functools import partial

import numpy as np
import pytest
from made_up_runs import MadeUpRun

from study.evidence import Study
from study.figures import interval_charts
from study.report import tables
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


def test_charts_show_one_and_two_seeds_as_points():
    (axes,) = interval_charts.forest({f"{n} seeds": gain(0.3, n) for n in (1, 2, 3)}).axes
    assert [text.get_text() for text in axes.texts] == [
        "+0.30  no interval  1 seed", "+0.30  no interval  2 seeds", "+0.30  [−1.20, +2.80]  3 seeds",
    ]  # fmt: skip
    bars = [line for line in axes.lines if list(line.get_xdata()) == [-1.2, 2.8]]
    assert len(bars) == 1


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
