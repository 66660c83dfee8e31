"""The share scan: its runs, its table from made-up runs, and the rule that chooses."""

from collections import Counter

import numpy as np
import pytest
from made_up_runs import MadeUpRun

from study import plan
from study.catalogue import select
from study.evidence import Study
from study.profiles import SEARCH_SEEDS
from study.report.scan import chosen_share, scan_chart, scan_table, scans_table
from study.report.tables import search


def scan(profile: str, setting: str = "loss.share_fa", **points: float) -> Study:
    """Every run of the scan at 50 points, but for shares of `setting`: scan("idd", p30=51.0) for 30 %."""
    made = []
    for run in plan.scanned_runs(profile):
        share = run.config.loss.share_fa if setting == "loss.share_fa" else run.config.loss.share_sisr
        mine = plan.SCANNED.get(run.config.arm) == setting
        level = points.get(f"p{round(100 * share)}", 50.0) if mine else 50.0
        made.append(MadeUpRun(run.config.arm, run.config.seed, level, overrides=run.overrides, profile=profile))
    return Study(profile, made)


@pytest.mark.parametrize("profile", ["idd", "camvid"])
def test_every_share_is_scanned_with_three_seeds_that_no_comparison_uses(profile):
    runs = plan.scanned_runs(profile)
    scanned = [run.config for run in runs if run.config.arm in plan.SCANNED]
    found = Counter((c.arm, c.loss.share_sisr if c.arm == "sssr_sisr_res" else c.loss.share_fa) for c in scanned)
    assert found == {(arm, share): 3 for arm in plan.SCANNED for share in (0.01, 0.03, 0.1, 0.3, 1.0)}
    assert {run.config.seed for run in runs} == set(SEARCH_SEEDS) == {9, 10, 11}
    for index, run in enumerate(runs):
        assert run.parent is None or run.parent in [before.run_id for before in runs[:index]]
    assert not {run.run_id for run in runs} & {run.run_id for run in plan.planned_runs(profile)}


def test_the_scan_keeps_the_runs_that_were_made_with_one_seed():
    ids = {run.run_id for run in plan.scanned_runs("idd")}
    assert {"idd-espnetv2_s1.0-dsrl_res-s9-1c0b56f5", "idd-espnetv2_s1.0-sssr_sisr_res-s9-505c4d12"} <= ids
    assert {"idd-espnetv2_s1.0-dsrl_res-s9-b2e91e75", "idd-espnetv2_s1.0-sssr-s9-171dec40"} <= ids  # 10 %


def test_the_table_has_each_share_and_no_comparison_has_its_runs():
    study = scan("idd", p30=51.0)
    table = scan_table(study).set_index(["setting", "share of CE's gradient"])
    assert len(table) == 10
    row = table.loc["loss.share_fa", "30 %"]
    assert float(row["val mIoU"]) == pytest.approx(51, abs=0.1) and len(row["by seed"].split()) == 3
    assert float(row["minus 10 %"]) == pytest.approx(1, abs=0.1)
    assert select(study.runs, "dsrl_res") == [] and len(search(study)) == len(study.runs)
    assert (scan_table(Study("idd", []))["val mIoU"] == "not run").all()


@pytest.mark.parametrize(
    ("idd", "camvid", "share"),
    [
        ({"p30": 51.0}, {"p30": 50.6}, 0.3),
        ({"p30": 51.0, "p3": 51.5}, {"p30": 51.0, "p3": 51.5}, 0.03),  # the best of several
        ({"p30": 52.0}, {"p30": 49.5}, 0.1),  # better on one data set alone
        ({"p30": 50.3}, {"p30": 50.3}, 0.1),  # by less than the smallest effect of interest
        ({"p10": 51.0}, {"p10": 51.0}, 0.1),
    ],
)
def test_the_rule(idd, camvid, share):
    assert chosen_share("loss.share_fa", [scan("idd", **idd), scan("camvid", **camvid)]) == share


def test_nothing_is_chosen_before_all_runs_are_there():
    whole = scan("idd", p100=60.0)
    part = Study("camvid", scan("camvid").runs[:-1])
    assert chosen_share("loss.share_fa", [whole, part]) is None
    assert np.isclose(chosen_share("loss.share_fa", [whole]), 1.0)


def test_the_table_of_both_data_sets_has_their_gains_and_the_mean_of_both():
    table = scans_table([scan("idd", p30=51.0), scan("camvid", p30=50.4)]).set_index(["loss", "share"])
    row = table.loc[("FA, after stage 3", "30 %")]
    assert [float(row[bed].split()[0]) for bed in ("IDD-lite", "CamVid")] == pytest.approx([1, 0.4], abs=0.1)
    assert float(row["mean"]) == pytest.approx(0.7, abs=0.1) and len(row["CamVid"].split()) == 4
    part = scans_table([scan("idd"), Study("camvid", [])])
    assert set(part["CamVid"]) == {"not run"} and set(part["mean"]) == {""}


def test_the_figure_has_the_means_of_the_table_and_a_profile_without_a_scan_says_so():
    study = scan("idd", p30=51.0, p3=49.0)
    figure = scan_chart(study)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["SISR, after stage 2", "FA, after stage 3"]
    means = next(line.get_ydata() for line in figure.axes[1].lines if line.get_marker() == "D")
    rows = scan_table(study).set_index("setting").loc["loss.share_fa", "minus 10 %"]
    assert [f"{x:+.2f}".replace("-", "−") for x in means] == list(rows)
    assert str(scan_chart(Study("moving", []))) == "No share was scanned in this profile."
    begun = Study("idd", [run for run in study.runs if run.arm == "sssr_sisr_res"])
    assert [axes.get_title(loc="left") for axes in scan_chart(begun).axes] == ["SISR, after stage 2"]


def test_the_runs_of_the_scan_stand_in_its_table_alone():
    study = scan("idd")
    assert len(search(study)) == len(study.runs) and list(search(study, scan=False)["arm"]) == ["sssr"]
