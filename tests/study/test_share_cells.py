"""The FA factorial at equal share of the gradient: its cells, its rule, simple effects and interactions."""

from functools import partial
from itertools import product

import pandas as pd
import pytest
from made_up_runs import MadeUpRun

from study.arms import ARMS, FA_ARMS, FA_SHARE_ARMS
from study.claims.cells import collapsed
from study.claims.judge import verdict
from study.evidence import Study
from study.factorial import cell, cells, main_effect, without_fa
from study.presets import parent_of, preset
from study.profiles import PROFILES
from study.report import tables
from study.report.comparison import answers
from study.report.factor import (
    effect_chart,
    effects_without_collapsed,
    factorials_run,
    gain_chart,
    simple_effects,
    strength_table,
)
from study.report.intervals import contrasts
from study.statistics.scores import Resamples

LEVELS = list(product(("output", "features"), ("to3", "keep", "none"), ("raw", "norm")))
EFFECT = {"output": 2.0, "features": 0.0, "to3": -1.0, "keep": 0.0, "none": 1.0, "raw": -0.5, "norm": 0.0}


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(Resamples, "of", partial(Resamples.of, resamples=200))


def study(points: dict[str, float]) -> Study:
    """Two seeds of every cell and of training without FA, at 50 points unless given."""
    arms = [*cells(share=True), without_fa(share=True)]
    return Study("idd", [MadeUpRun(arm, s, points.get(arm, 50.0), profile="idd") for arm in arms for s in (0, 1)])


def test_a_cell_differs_from_the_old_one_by_its_share_and_its_sisr_branch_alone():
    assert set(cells(share=True)) == {cell(*levels, share=True) for levels in LEVELS} == {"dsrl_res", *FA_SHARE_ARMS}
    for old, new in zip(FA_ARMS, FA_SHARE_ARMS, strict=True):
        added = {"model.sisr_residual": True, "model.sisr_taps": "input"}
        assert ARMS[new].changes == ARMS[old].changes | added
        config = preset("idd", new)
        assert config.loss.share_fa == preset("idd", "dsrl_res").loss.share_fa > 0
        assert parent_of(config) == parent_of(preset("idd", "dsrl_res"))  # no other run is trained for it
    for profile in ("idd", "camvid_gpu"):
        assert {*cells(share=True), without_fa(share=True)} <= set(PROFILES[profile].arm_seeds)
        assert not set(FA_ARMS) & set(PROFILES[profile].arm_seeds)


def test_main_effects_recover_what_was_put_in():
    made = study(
        {cell(*levels, share=True): 50 + sum(map(EFFECT.get, levels)) for levels in LEVELS} | {without_fa(True): 49}
    )
    found = {claim: verdict(made, claim) for claim in ("C17", "C18", "C19")}
    estimates = [finding.measured.estimate for claim in found.values() for finding in claim.findings]
    assert estimates == pytest.approx([2, -1, -2, -0.5], abs=0.1)
    assert {claim: one.verdict for claim, one in found.items()} == {
        "C17": "reproduced", "C18": "not reproduced", "C19": "not reproduced"
    }  # fmt: skip
    assert len(found["C17"].findings[0].runs) == 24
    assert found["C17"].findings[0].part.quantity == "placement: output − features, at equal share"


def test_no_effect_is_averaged_over_a_collapsed_cell():
    made = study({cell("output", "none", "raw", share=True): 40.0})
    assert collapsed(made, share=True) == ["fa_output_none_raw_share"]
    (finding,) = verdict(made, "C17").findings
    assert finding.measured.estimate == pytest.approx(0, abs=0.1)  # -1.7 with that pair
    assert not any("none_raw_share" in run for run in finding.runs) and len(finding.runs) == 20
    text = effects_without_collapsed(made, "C17")
    assert "all (6)" in text and "none collapsed (5)" in text and "Collapsed: fa_output_none_raw_share." in text
    strata, _ = contrasts(made)["C17 FA on outputs instead of features"]  # notebook 45 shows what is judged
    assert made.contrast(strata) is finding.measured


def test_the_table_of_the_cells_has_the_calibrated_weight_and_what_became_of_the_share(monkeypatch):
    made = study({cell("output", "none", "raw", share=True): 49.0})
    for run in made.runs:
        last = {"w2": 0.000825, "share_fa": 0.0426} if "output_none_raw" in run.arm else {"w2": 0.3, "share_fa": 0.1}
        run.__dict__["history"] = pd.DataFrame([{"w2": 9.0, "share_fa": 0.9}, last])
    monkeypatch.setattr(tables, "TABLES", {})
    text = tables.files(made)["factorial_share.md"]
    (row,) = [line for line in text.splitlines() if "fa_output_none_raw_share" in line]
    assert "| 0.00082 0.00082 | 4.3 4.3 " in " ".join(row.split()) and "−1.0" in row
    assert len(text.splitlines()) == 2 + 12 and "0.3 0.3" in text
    alone = Study("idd", [run for run in made.runs if run.arm == "dsrl_res"])  # an arm of the main table
    assert tables.files(alone) == {} and tables.factorial_share(Study("idd", [])).empty


def test_what_is_missing_is_said():
    made = study({})
    without = Study("idd", [run for run in made.runs if run.arm != "sssr_sisr_res_long"])
    assert verdict(without, "C17").findings[0].missing == ("sssr_sisr_res_long",)
    every = study(dict.fromkeys(cells(share=True), 40.0))
    (finding,) = verdict(every, "C19").findings
    assert finding.measured is None and finding.missing == ("a pair of cells of which none has collapsed",)


def test_the_answer_is_that_of_the_factorial_that_was_run():
    text = answers(
        study({cell("output", ftm, "norm", share=True): 52.0 for ftm in ("to3", "keep", "none")}), "C7", "C17"
    )
    assert text.startswith("**C17, FA on outputs instead of features: +0.99") and "C7" not in text
    assert answers(Study("idd", []), "C7", "C17").count("not run") == 2


def test_interactions_are_differences_of_simple_effects():
    """Only raw on outputs gains, by 3 with each FTM: the effect of the placement is 3 in raw, 0 in norm."""
    made = study({cell("output", ftm, "raw", share=True): 53.0 for ftm in ("to3", "keep", "none")})
    lines = simple_effects(made, "C17").splitlines()
    simple = [line for line in lines if "simple effect" in line]
    assert len(simple) == len(main_effect("placement", ("output", "features"), share=True)) == 6
    (interaction,) = [line for line in lines if "interaction with normalisation" in line]
    assert "(output − features at norm) − (the same at raw)" in interaction
    value = float(interaction.split("|")[3].split()[0].replace("−", "-"))
    assert value == pytest.approx(-3, abs=0.2)
    others = [line for line in lines if "interaction with ftm" in line]
    assert len(others) == 3
    assert all(abs(float(line.split("|")[3].split()[0].replace("−", "-"))) < 0.3 for line in others)


def test_a_notebook_shows_the_factorial_that_was_run(results, monkeypatch):
    made = study({cell("output", "none", "raw", share=True): 48.0})
    assert factorials_run(made, "C7", "C17") == ["C17"] and factorials_run(Study("idd", []), "C7", "C17") == []
    old = Study(
        "camvid", [MadeUpRun(arm, s, 50.0) for arm in ("dsrl", "fa_output_keep_norm", "dsrl_res") for s in (0, 1)]
    )
    assert factorials_run(old, "C7", "C17") == ["C7"]
    drawn = {}
    monkeypatch.setattr("study.report.factor.difference_chart", lambda study, pairs, **_: drawn.update(pairs))
    gain_chart(made, "C17")
    assert drawn == {arm: (arm, "sssr_sisr_res_long") for arm in cells(share=True)}
    drawn.clear()
    effect_chart(made, "C18")
    assert len(drawn) == 2 + 8 and drawn["to3 − none at output / raw"] == (
        "fa_output_to3_raw_share",
        "fa_output_none_raw_share",
    )
    assert "python -m study shares --arm fa --profile camvid" in strength_table(old, "C7")
    for run in made.runs:
        run.__dict__["history"] = pd.DataFrame([{"w2": 0.3, "share_fa": 0.1}])
    assert "0.3 0.3" in strength_table(made, "C17") and "python -m" not in strength_table(made, "C17")
