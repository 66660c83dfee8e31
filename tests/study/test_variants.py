"""The second pretrained host and the random start: planned, found on the disk, judged, and shown."""

from functools import partial

import pandas as pd
import pytest
import torch
from made_up_runs import MadeUpRun

from dsrl_lib import network
from dsrl_lib.evaluation import cost
from study import plan
from study.arms import DETAIL_ARMS
from study.catalogue import select
from study.claims.judge import verdict
from study.evidence import Study
from study.presets import preset
from study.profiles import PROFILES, SECOND_PRETRAINED
from study.report import tables
from study.report.comparison import arm_chart, claim_table
from study.report.main_results import gain_chart
from study.report.variants import flattening_table, second_host_cost, variant_pairs, variant_table
from study.statistics.scores import Resamples


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(Resamples, "of", partial(Resamples.of, resamples=200))


def runs(name: str, profile: str = "idd", **points: float) -> list[MadeUpRun]:
    variant = PROFILES[profile].variants[name]
    return [
        MadeUpRun(arm, seed, points.get(arm, 50.0), variant.host, variant.overrides, profile)
        for arm, seeds in variant.arm_seeds.items() for seed in seeds
    ]  # fmt: skip


@pytest.mark.parametrize("overrides", [("data.flip=0",), ("optim.epochs=8", "optim.lr=2e-3"), ("loss.w2=0.10",)])
def test_runs_are_found_by_their_overrides_however_these_are_written(overrides):
    made = [MadeUpRun("dsrl", 0, 50.0, overrides=overrides), MadeUpRun("dsrl", 1, 50.0, overrides=("data.flip=0.25",))]
    assert select(made, "dsrl", overrides=overrides) == made[:1]
    assert select(made, "dsrl") == (made[:1] if overrides == ("loss.w2=0.10",) else [])  # the default of the profile


def test_an_arm_that_only_a_variant_has_is_planned_and_can_be_chosen():
    assert "dsrl" not in PROFILES["camvid_gpu"].arm_seeds
    planned = plan.planned_runs("camvid_gpu", arms=["dsrl"], seeds=[2])
    assert [run.config.arm for run in planned] == ["sssr", "sssr_sisr", "dsrl"]
    assert {(run.config.model.host, run.config.model.pretrained) for run in planned} == {
        (SECOND_PRETRAINED, "imagenet")
    }
    assert plan.command(planned[-1]).endswith("--seed 2 --set model.pretrained=imagenet")


def test_the_random_start_has_random_weights_in_every_stage_and_updates_alike():
    variant = PROFILES["idd"].variants["random_start"]
    planned = [run for run in plan.planned_runs("idd", seeds=[0]) if run.config.model.host == "espnetv2_s0.5"]
    assert {run.config.model.pretrained for run in planned} == {"none"}
    ends = {run.config.arm: run for run in planned}
    assert {arm: ends[arm].config.optim.epochs for arm in ends} == {
        "lr": 60, "bilinear": 60, "sssr": 20, "sssr_long": 40, "sssr_sisr": 20, "dsrl": 20,
    }  # fmt: skip
    assert {run.config.optim.schedule_epochs for run in planned} == {60}
    assert set(variant.arm_seeds) < set(ends)


def test_at_the_second_host_equal_macs_are_the_input_of_bilinear():
    """Shapes alone. The head costs less than what the next larger input adds, so mac_matched is left out."""
    for profile, most in (("idd", 0.006), ("camvid_gpu", 0.014)):
        config = preset(profile, "sssr", SECOND_PRETRAINED)
        model = network.build(config).eval().to("meta")
        x = cost.example_input(config).to("meta")
        host = cost.macs(model.host, x)
        larger = cost.macs(model.host, torch.empty(1, 3, x.shape[2] + 1, x.shape[3] + 1, device="meta"))
        assert 0 < cost.macs(model, x) / host - 1 < most < larger / host - 1
        assert "mac_matched" not in PROFILES[profile].variants["second_pretrained_host"].arm_seeds


def test_the_runs_of_both_variants_are_found_and_judged():
    made = runs("second_pretrained_host", dsrl=52.0) + runs("random_start", dsrl=50.0)
    study = Study("idd", made)
    found = {claim: verdict(study, claim) for claim in ("C20", "C21")}
    assert [f.outcome for f in found["C20"].findings] == ["yes", "yes", "shown", "shown", "shown"]
    assert (found["C20"].verdict, found["C21"].verdict) == ("reproduced", "not reproduced")
    assert found["C21"].findings[-1].missing == ("dsrl", "lr")  # the Cityscapes start was not run
    names = [f"{a} − {b}" for a, b in variant_pairs("idd")]
    assert len(names) == 11 and all(name in variant_table(study) for name in names)
    table, below = variant_table(Study("idd", runs("random_start"))).split("\n\n")
    assert table.count("@random_start − ") == 4 == below.count("@second_pretrained_host − ")
    assert variant_pairs("camvid") == [] and "no variants" in variant_table(Study("camvid", []))


def test_a_variant_of_the_head_alone_is_compared_with_the_baselines_of_the_profile():
    """C24. `lr` and `bilinear` have no head, so they are trained once."""
    pairs = [pair for pair in variant_pairs("idd") if "batch_norm_head" in "".join(pair)]
    assert pairs == [
        ("dsrl@batch_norm_head", "lr"), ("sssr_long@batch_norm_head", "bilinear"),
        ("dsrl@batch_norm_head", "sssr_long@batch_norm_head"),
    ]  # fmt: skip


def rows_of_differences(made: list[MadeUpRun], profile: str = "idd") -> list[str]:
    figure = gain_chart(Study(profile, made))
    return [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]


def test_the_figure_of_differences_has_the_gain_of_each_variant_that_was_run():
    lr = [MadeUpRun("lr", seed, 50.0, profile="idd") for seed in range(3)]
    made = [*lr, *runs("second_pretrained_host", dsrl=51.0), *runs("random_start")]
    found = ["dsrl − lr\n@second_pretrained_host", "dsrl − lr\n@random_start"]
    assert rows_of_differences(made) == found
    head = [run for run in runs("batch_norm_head", dsrl=51.0) if run.seed < 3]
    assert rows_of_differences(made + head) == [found[0], "dsrl@batch_norm_head\n− lr", found[1]]
    assert rows_of_differences(runs("second_host", "camvid"), "camvid") == ["dsrl − lr\n@second_host"]


def test_the_arms_whose_detail_comes_from_the_encoder_are_shown_once_they_were_run():
    """C25: in the figures, in the order of the others, and in the table of differences."""
    arms = ("lr", "sssr_long", "sssr_sisr_res_long", "dsrl_res")
    made = [MadeUpRun(arm, seed, 50.0, profile="idd") for arm in arms for seed in range(3)]
    assert not any("detail" in pair for pair in tables.differences(Study("idd", made)).index)
    detail = [MadeUpRun(arm, seed, 50.5, profile="idd") for arm in DETAIL_ARMS for seed in range(3)]
    pairs = ["sssr_sisr_detail_long − sssr_long", "dsrl_detail − sssr_sisr_detail_long"]
    assert list(tables.differences(Study("idd", made + detail)).index[-2:]) == pairs
    shown = [label.get_text() for label in arm_chart(Study("idd", made + detail)).axes[0].get_yticklabels()]
    assert shown[-2:] == ["sssr_sisr_detail_long", "dsrl_detail"] and "sssr_sisr_detail" not in shown


def test_a_curve_that_still_rises_in_its_last_third_is_named():
    made = runs("random_start")
    for run in made:
        last = 0.500 + (0.006 if run.arm == "dsrl" else 0.004)
        epochs = run.config["optim"]["epochs"]
        points = [0.500] * (epochs - 1) + [last]
        stage = run.arm in ("dsrl", "sssr_long")
        run.__dict__["history"] = pd.DataFrame({"epoch": range(1, epochs + 1), "val_miou": points})
        assert run.config["warm_start"] is not None if stage else run.config["warm_start"] is None
    lines = {line.split("|")[1].strip(): line for line in flattening_table(Study("idd", made)).splitlines()}
    assert "still rising" in lines["dsrl@random_start"] and "+0.60" in lines["dsrl@random_start"]
    assert "| yes" in lines["lr@random_start"] and "+0.40" in lines["lr@random_start"]
    assert "lr@second_pretrained_host" not in lines


def test_a_claim_of_which_nothing_was_run_has_one_row():
    lines = claim_table(Study("idd", runs("random_start")), "C20", "C21").splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert [row[0] for row in rows].count("C20") == 1 and rows[0][1] == "**not run**"
    assert rows[0][3].startswith("not run: dsrl@second_pretrained_host, lr@second") and rows[1][0] == "C21"
    assert all(row[-1] in ("yes", "no", "unclear", "shown") for row in rows[1:])


def test_the_second_host_is_told_in_one_sentence():
    """What it costs is that of the made-up runs: 187 multiply-accumulates."""
    study = Study("camvid", runs("second_host", "camvid", lr=40.0, dsrl=38.0))
    told = second_host_cost(study)
    assert told.startswith("ddrnet23_slim, from random weights: `lr` 40.") and "`dsrl` 38." in told
    assert told.count("points at 0 M MACs (3 seeds)") == 2
    assert "Not run" in second_host_cost(Study("idd", []))


def test_runs_that_were_not_validated_at_two_thirds_say_nothing_about_their_last_third():
    made = [MadeUpRun(arm, 0, 50.0, profile="idd") for arm in ("lr", "bilinear")]  # 9 epochs
    for run, validated in zip(made, ((5, 9), (6, 9)), strict=True):
        run.__dict__["history"] = pd.DataFrame({"epoch": validated, "val_miou": [0.50, 0.51]})
    lines = {line.split("|")[1].strip(): line for line in flattening_table(Study("idd", made)).splitlines()}
    assert "not validated" in lines["lr"] and "+1.00" in lines["bilinear"] and "still rising" in lines["bilinear"]
