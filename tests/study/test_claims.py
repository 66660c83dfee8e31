"""Verdicts from made-up counts whose truth is known; rules at their boundaries; the README table."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement, product

import pandas as pd
import pytest
from made_up_runs import COST, MadeUpRun

from dsrl_lib.evaluation.details import TRIMAP_PX
from dsrl_lib.paths import root
from study.arms import ARMS, FA_ARMS
from study.claims import table as claims_table
from study.claims.judge import judge, verdict
from study.claims.rules import Claim, Criterion, Part, holds, load_rules
from study.claims.together import beds_table, own_claims, together, verdicts_table
from study.evidence import Study
from study.factorial import cell, main_effect
from study.profiles import PROFILES, SEARCH_SEEDS
from study.report import texts
from study.report.comparison import answer, claim_table
from study.statistics.scores import Resamples, score


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(Resamples, "of", partial(Resamples.of, resamples=1000))


def study(seeds=3, **points):
    """Runs of every arm; mIoU 50 unless given."""
    level = {arm: 50.0 for arm in ARMS} | points
    return [MadeUpRun(arm, seed, level[arm]) for arm in level for seed in range(seeds)]


def verdicts(runs):
    return judge(Study("camvid", runs))


def test_paper_is_right():
    sure = {"lr": 50, "sssr_long": 51.2, "sssr_sisr_long": 54.0, "dsrl": 54.4}
    found = verdicts(study(sisr_frozen=51.2, mac_matched=52, **sure))
    expected = dict.fromkeys(("C1", "C2", "C3", "C10"), "reproduced")
    expected |= {"C4": "partly", "C11": "partly", "C12": "not reproduced", "C13": "not reproduced"}
    assert {claim: found[claim].verdict for claim in expected} == expected
    c1 = found["C1"].findings[0].measured
    assert c1.estimate == pytest.approx(4.4, abs=0.1)
    assert c1.low < c1.estimate < c1.high and c1.seeds == (0, 1, 2)


def test_a_claim_about_boundaries_is_judged_by_the_counts_there():
    runs = study(seeds=3, relaxed=52.0, border_void=48.0)
    for run in runs:
        if run.arm == "relaxed":  # no better than the others within 4 pixels
            run.bands[4] = MadeUpRun("relaxed", run.seed, 50.0).arrays
    found = verdicts(runs)["C14"]
    assert [finding.part.kind for finding in found.findings[:2]] == ["trimap 4", "miou"]
    assert [finding.measured.estimate for finding in found.findings[:4]] == pytest.approx([0, 2, 0, 2], abs=0.15)
    assert [finding.outcome for finding in found.findings[1:4:2]] == ["yes", "yes"]
    assert found.findings[0].part.quantity == "relaxed − bilinear, within 4 px of boundaries"
    assert found.verdict in ("partly", "inconclusive")
    with pytest.raises(ValueError, match="trimap 3: allowed are trimap with one of 1, 2, 4, 8, 16"):
        Study("camvid", runs).scores("lr", "trimap 3")


def test_tables_say_later_until_a_run_of_a_later_claim_is_there():
    early, late = (verdicts([run for run in study(seeds=1) if run.arm in arms])["C14"]
                   for arms in (("bilinear", "lr"), ("bilinear", "relaxed")))  # fmt: skip
    assert claims_table.markdown([early], "camvid").splitlines()[-1] == (
        "| **C14** Label relaxation helps at boundaries (Zhu et al.) |  | **later** |"
    )
    assert claims_table.claims_frame([early])["part"].isna().tolist() == [True]
    assert late.verdict == "inconclusive" and "[evidence]" in claims_table.markdown([late], "camvid")
    assert len(claims_table.claims_frame([late])) == len(late.findings) == 10


def test_only_the_head_helps():
    level = dict.fromkeys(("bilinear", "sssr_long", "sssr_sisr_long", "dsrl", "sisr_frozen"), 51.5)
    found = verdicts(study(lr=50, sssr_random=45, mac_matched=52.5, **level))
    expected = {"C1": "partly", "C2": "partly", "C4": "not reproduced", "C10": "not reproduced",
                "C11": "reproduced", "C12": "reproduced", "C15": "reproduced"}  # fmt: skip
    assert {claim: found[claim].verdict for claim in expected} == expected


def test_main_effects_recover_what_was_put_in():
    effect = {"output": 2.0, "features": 0.0, "to3": -1.0, "keep": 0.0, "none": 1.0, "raw": 0.0, "norm": 0.0}
    levels = product(("output", "features"), ("to3", "keep", "none"), ("raw", "norm"))
    cells = {cell(*combination): 50 + sum(effect[level] for level in combination) for combination in levels}
    assert set(cells) == {"dsrl", *FA_ARMS}
    found = verdicts(study(seeds=2, **cells))
    estimate = {claim: [f.measured.estimate for f in found[claim].findings] for claim in ("C7", "C8", "C9")}
    assert estimate["C7"] == pytest.approx([2], abs=0.1)
    assert estimate["C8"] == pytest.approx([-1, -2], abs=0.1)
    assert estimate["C9"] == pytest.approx([0], abs=0.1)
    assert found["C7"].verdict == "reproduced"
    assert found["C8"].verdict == found["C9"].verdict == "not reproduced"
    assert len(found["C7"].findings[0].runs) == 24
    assert len(main_effect("placement", ["output", "features"])) == 6


def test_the_smallest_effect_of_interest_has_its_size_below_rules_that_name_it():
    made_up = Study("camvid", study(seeds=1))
    size = f"The smallest effect of interest is {load_rules().interest} points."
    assert claim_table(made_up, "C11").count(size) == 1
    assert "effect of interest" not in claim_table(made_up, "C10")  # whose rules do not


def test_an_answer_names_the_host_of_its_runs():
    runs = [MadeUpRun(arm, seed, 50.0, host) for arm in ("lr", "dsrl") for seed in (0, 1)
            for host in (None, "ddrnet23_slim")]  # fmt: skip
    made_up = Study("camvid", runs)
    found = verdict(made_up, "C6")
    for part, host in enumerate(("espnetv2_s1.0", "ddrnet23_slim")):
        judged = f"{found.findings[part].outcome} by its rule; C6 as a whole: {found.verdict}"
        assert answer(made_up, "C6", part).endswith(f", host {host}: {judged}.**")
    assert ": 1.870, host espnetv2_s1.0: " in answer(made_up, "C4")  # a ratio, not points
    assert answer(made_up, "C10").endswith("not run** (missing: sssr_sisr_long, sssr_long).")


def test_smaller_input_and_second_host():
    small = PROFILES["camvid"].variants["small_input"].overrides
    more = [MadeUpRun(arm, seed, level, overrides=small)
            for arm, level in (("lr", 40), ("dsrl", 45)) for seed in range(3)]  # fmt: skip
    runs = study(dsrl=52)
    assert verdicts(runs)["C5"].verdict == "not run"
    assert verdicts(runs)["C6"].verdict == "inconclusive"
    assert "dsrl@second_host" in verdicts(runs)["C6"].findings[1].missing
    found = verdicts(runs + more)["C5"]
    assert found.verdict == "reproduced"
    assert found.findings[0].measured.estimate == pytest.approx(3, abs=0.15)
    more = [MadeUpRun(arm, seed, 60, host="ddrnet23_slim") for arm in ("lr", "dsrl") for seed in range(3)]
    assert verdicts(runs + more)["C6"].verdict == "partly"


def test_the_runs_of_the_search_decide_nothing():
    search = [MadeUpRun(arm, seed, 90) for arm in ("lr", "dsrl") for seed in SEARCH_SEEDS]
    with_search, without = (verdicts(runs)["C1"].findings[0] for runs in (study() + search, study()))
    assert with_search.runs == without.runs
    assert with_search.measured.estimate == without.measured.estimate


def test_costs():
    runs = study()
    c4 = verdicts(runs)["C4"].findings[0]
    assert (c4.measured.estimate, c4.outcome) == (1.87, "no")
    slow = dict(COST, prune_bit_equal=False, macs_pruned=188)
    for run in runs:
        if run.arm == "dsrl" and run.seed == 1:
            run.__dict__["metrics"] = {"cost": slow}
    assert [f.outcome for f in verdicts(runs)["C3"].findings] == ["no", "no", "yes"]


def test_no_runs_and_one_seed():
    assert {v.verdict for v in verdicts([]).values()} == {"not run", "later"}
    found = verdicts(study(seeds=1, dsrl=52.0, lr=50.0))["C1"]
    assert found.findings[0].measured.levels == ("images",)
    other = [MadeUpRun("lr", 0, 50), MadeUpRun("dsrl", 1, 53)]
    assert verdicts(other)["C1"].findings[0].missing == ("a seed that dsrl and lr share",)


def test_inconclusive_says_what_would_settle_it():
    runs = study(seeds=2, dsrl=52.0, lr=50.0)  # on the rule's boundary, two seeds
    found = verdicts(runs)["C1"]
    assert found.verdict == "inconclusive"
    line = claims_table.markdown([found], "camvid").splitlines()[-1]
    assert "**inconclusive**: the estimate is close to a limit of its rule" in line
    few = replace(found.findings[0], settle=7.0)
    line = claims_table.markdown([replace(found, findings=(few,))], "camvid").splitlines()[-1]
    assert "about 7 seeds would settle it" in line
    images = replace(few, settle=float("inf"), settle_more_images=9.0)
    line = claims_table.markdown([replace(found, findings=(images,))], "camvid").splitlines()[-1]
    assert "about 9 seeds with 4 times the images would settle it" in line
    first, second = replace(images, part=replace(images.part, name="a")), replace(few, part=replace(few.part, name="b"))
    line = claims_table.settle(replace(found, findings=(first, second)))
    assert line == ": about 9 seeds with 4 times the images (a) and about 7 seeds (b) would settle it"
    assert claims_table.settle(replace(found, verdict="partly")) == ""


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("yes", "yes", "unclear"), "reproduced"),
        (("yes", "no", "no"), "partly"),
        (("no", "unclear", "yes"), "partly"),  # the weaker part is evidence enough for "partly"
        (("no", "no", "unclear"), "not reproduced"),
        (("yes", "unclear", "yes"), "inconclusive"),
        (("unclear", "unclear", "no"), "inconclusive"),
    ],
)
def test_verdict_from_parts(outcomes, expected):
    test = Criterion("", "low > 0", "high < 0")
    parts = (Part("a", {"lr": 1}, test=test), Part("b", {"lr": 1}, test=test),
             Part("c", {"lr": 1}, test=test, weaker=True))  # fmt: skip
    assert Claim("C0", "", "", parts=parts).verdict(outcomes) == expected


@pytest.mark.parametrize(
    ("gate", "other", "expected"),
    [
        ("no", "unclear", "not reproduced"),
        ("no", "yes", "not reproduced"),
        ("yes", "no", "not reproduced"),  # an open gate is no evidence
        ("yes", "unclear", "inconclusive"),
        ("unclear", "yes", "reproduced"),
    ],
)
def test_a_gate_only_stops(gate, other, expected):
    test = Criterion("", "low > 0", "high < 0")
    parts = Part("a", {"lr": 1}, test=test, gate=True), Part("b", {"lr": 1}, test=test)
    assert Claim("C0", "", "", parts=parts).verdict((gate, other)) == expected


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({}, "not reproduced"),  # the oracle gains nothing
        ({"adaptive_oracle": 51.0}, "not reproduced"),  # it does, and the prediction does not
        ({"adaptive_oracle": 53.0, "adaptive": 52.0}, "reproduced"),
        ({"adaptive_oracle": 53.0, "adaptive": 52.0, "adaptive_swap": 52.0}, "inconclusive"),
        ({"adaptive_oracle": 53.0, "adaptive": 52.0, "uniform_macs": 52.0}, "partly"),
    ],
)
def test_the_rule_of_adaptive_downsampling(levels, expected):
    first = ("bilinear", "uniform_point", "adaptive_oracle")
    arms = (*first, "uniform_macs", "adaptive", "adaptive_mean", "adaptive_swap")
    runs = [MadeUpRun(arm, seed, levels.get(arm, 50.0)) for arm in arms for seed in range(3)]
    assert verdict(Study("camvid", runs), "C13").verdict == expected
    stopped = verdict(Study("camvid", [run for run in runs if run.arm in first]), "C13").verdict
    assert stopped == ("inconclusive" if "adaptive_oracle" in levels else "not reproduced")


def test_no_criterion_says_yes_and_no():
    criteria = {part.test for claim in load_rules().claims for part in claim.parts if part.test}
    assert len(criteria) == 11
    for criterion in criteria:
        thresholds = {0.0, 0.5, *map(float, re.findall(r"\d[\d.]*", f"{criterion.yes} {criterion.no}"))}
        grid = sorted({limit + step for limit in thresholds for step in (-0.05, 0, 0.05)} | {-1, 4})
        for low, estimate, high in combinations_with_replacement(grid, 3):
            values = {"low": low, "estimate": estimate, "high": high, "interest": 0.5}
            values["smallest"] = 0.7 * (high - low)
            assert not (holds(criterion.yes, values) and holds(criterion.no, values)), (criterion, values)


def test_every_claim_has_a_rule():
    rules = load_rules()
    assert [claim.id for claim in rules.claims] == [f"C{n}" for n in range(1, 26)]
    for claim in rules.claims:
        assert any(part.test and not (part.weaker or part.gate) for part in claim.parts)
        assert {arm.partition("@")[0] for part in claim.parts for arm in part.arms} <= set(ARMS)
        assert {part.within_px for part in claim.parts} <= {0, *TRIMAP_PX}


def test_expressions():
    values = {"low": 1.0, "high": 2.0, "smallest": float("nan")}
    assert holds("low > 0 and high <= 2", values)
    assert holds("low > 5 or high > low", values)
    assert not holds("low > 5 or high > low and low > 1", values)
    assert not holds("low >= smallest", values) and not holds("low < smallest", values)
    for wrong in ("low > 0; import os", "lowest > 0", "low", "low > high > 0", ""):
        with pytest.raises(ValueError, match=r"cannot read|could not convert"):
            holds(wrong, values)


def test_tables_and_numbers_of_a_text(results, tmp_path):
    made_up = Study("camvid", study(seeds=2, dsrl=53.0))
    text = tmp_path / "README.md"
    text.write_text("before\n<!-- claims:begin -->\nold\n<!-- claims:end -->\nafter"
                    " <!-- miou: dsrl - lr -->+0.0<!-- end -->\n")  # fmt: skip
    csv = claims_table.write_claims(made_up)
    texts.write_texts(made_up, [text])
    first = csv.read_bytes(), text.read_bytes()
    claims_table.write_claims(made_up)
    texts.write_texts(made_up, [text])
    assert (csv.read_bytes(), text.read_bytes()) == first
    frame = pd.read_csv(csv)
    assert list(frame.columns) == list(claims_table.COLUMNS) and (frame["seeds"].dropna() == 2).all()
    shown = text.read_text()
    assert shown.startswith("before\n") and "\nold\n" not in shown
    assert shown.endswith("after <!-- miou: dsrl - lr -->+3.0<!-- end -->\n")
    assert texts.wrong_lines(made_up, text) == []
    texts.write_texts(Study("camvid", []), [text])
    assert text.read_text().endswith("after <!-- miou: dsrl - lr -->not run<!-- end -->\n")
    texts.write_texts(made_up, [text])
    assert text.read_text().endswith("after <!-- miou: dsrl - lr -->+2.98<!-- end -->\n")
    text.write_text(shown.replace("+2.98", "+4.98", 1))
    ((where, problem),) = texts.wrong_lines(made_up, text)
    assert where == "line 5" and "+4.98" in problem.partition(" is shown")[0]
    assert "+2.98" in problem.partition(" is shown")[2]


def test_a_mark_near_boundaries_counts_the_pixels_there_alone():
    runs = [MadeUpRun(arm, seed, 50.0) for arm in ("relaxed", "bilinear") for seed in range(3)]
    for run in runs:
        if run.arm == "relaxed":
            run.bands[4] = MadeUpRun("relaxed", run.seed, 47.0).arrays
    marks = [f"<!-- miou{near}: relaxed - bilinear -->−9.9<!-- end -->" for near in ("", " within 4")]
    everywhere, near = texts.refreshed("\n".join(marks), Study("camvid", runs)).splitlines()
    assert "within 4: relaxed - bilinear -->−3.0<" in near and re.search("-->[+−]0.0<", everywhere)


def test_a_marked_interval_is_the_one_of_the_claims_table(results):
    mark, end = "<!-- miou: dsrl - lr, interval -->", "<!-- end -->"
    three = Study("camvid", study(seeds=3, dsrl=53.0))
    (in_table,) = re.findall(
        r"gain of at least 2: \S+ (\[[^]]*\])", claims_table.markdown(judge(three).values(), "camvid")
    )
    assert texts.refreshed(f"{mark}not run{end}", three) == mark + in_table + end
    two = Study("camvid", study(seeds=2, dsrl=53.0))
    assert texts.refreshed(f"{mark}{in_table}{end}", two) == f"{mark}(too few seeds for an interval){end}"


def test_the_texts_are_refreshed_by_the_claims_of_every_profile_that_they_show(results, tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "root", lambda: tmp_path)
    monkeypatch.setattr(texts, "released_dir", lambda: tmp_path / "weights")
    text = tmp_path / "README.md"
    text.write_text("gains <!-- moving miou: moving_true - moving_one -->+0.0<!-- end -->\n")
    points = {"moving_one": 50.0, "moving_true": 53.0}
    moving = Study("moving", [MadeUpRun(arm, 0, points[arm], profile="moving") for arm in points])
    assert texts.write_texts(moving) == texts.published("idd") == texts.published("camvid_videos") == [text]
    assert text.read_text() == "gains <!-- moving miou: moving_true - moving_one -->+3.0<!-- end -->\n"
    assert texts.write_texts(Study("smoke", [])) == []
    monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / "elsewhere"))
    assert texts.published("moving") == []


def test_two_studies_write_the_texts_one_after_the_other(results, tmp_path, monkeypatch):
    at_work: list[str] = []

    def slow(path, study):
        at_work.append(study.profile)
        time.sleep(0.1)
        assert at_work == [study.profile]
        return path.read_text() + at_work.pop()

    monkeypatch.setattr(texts, "_renewed", slow)
    (tmp_path / "README.md").write_text("")
    studies = [Study(profile, []) for profile in ("camvid", "idd")]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda study: texts.write_texts(study, [tmp_path / "README.md"]), studies))
    assert (tmp_path / "README.md").read_text() in ("camvididd", "iddcamvid")


def test_an_unknown_table_is_an_error():
    text = "<!-- clams:begin -->\n<!-- clams:end -->"
    with pytest.raises(
        ValueError, match="table 'clams' is unknown; allowed: claims, own_claims, moving_claims, beds, verdicts"
    ):
        texts.refreshed(text, Study("camvid", []))


def test_one_seed_leaves_every_difference_open():
    found = verdicts(study(seeds=1, lr=40, dsrl=60))
    assert found["C1"].findings[0].measured.low > 2  # sure of the images, silent about seeds
    assert found["C1"].verdict == "inconclusive"
    assert found["C3"].verdict == "reproduced"  # costs do not depend on the seed


def test_an_unknown_claim_is_an_error_that_names_the_valid_ones():
    with pytest.raises(ValueError, match="unknown claim 'C99'; valid: C1, C2"):
        verdict(Study("camvid", []), "C99")


def test_the_verdict_on_one_claim_is_that_of_all_and_computes_no_other_score(monkeypatch):
    computed = []
    monkeypatch.setattr("study.evidence.score", lambda *given: computed.append(given) or score(*given))
    one, every = (Study("camvid", study(seeds=2, dsrl=53.0)) for _ in range(2))
    alone = verdict(one, "C1")
    assert len(computed) == 2  # dsrl and lr
    assert repr(alone) == repr(judge(every)["C1"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("reproduced", "reproduced"), "reproduced"),
        (("not reproduced", "not run"), "not reproduced"),
        (("reproduced", "not reproduced"), "partly"),
        (("partly", "reproduced"), "partly"),
        (("not reproduced", "inconclusive"), "inconclusive"),
        (("later", "not run"), "not run"),
    ],
)
def test_one_verdict_from_several_data_sets(words, expected):
    assert together(words) == expected == together(words[::-1])


def test_both_data_sets_stand_beside_each_other():
    runs = study(seeds=2, dsrl=52.0, lr=50.0)
    table = beds_table([Study("camvid", runs), Study("idd", [])])
    assert table == "No claim has been run on two data sets yet."
    points = {"dsrl": 49.0, "lr": 50.0}
    other = [MadeUpRun(arm, seed, points[arm], profile="idd") for arm in points for seed in (0, 1)]
    table = beds_table([Study("camvid", study(seeds=2, dsrl=53.0, lr=50.0)), Study("idd", other)])
    row = next(line for line in table.splitlines() if "**C1**" in line)
    _, _, camvid, idd, both, _ = row.split("|")
    assert "+2.98" in camvid and camvid.endswith("<br>reproduced ")
    assert "not reproduced" in idd and both == " **partly** "
    assert "**C2**" not in table  # not run on the second


def test_one_row_per_claim_shows_what_decides_each_verdict():
    points = {"sssr_long": 50.0, "sssr_sisr_res_long": 53.0, "dsrl_res": 53.0, "dsrl": 49.0, "lr": 50.0}
    points |= {"dsrl_share": 50.0, "sisr_frozen_share": 53.0}
    other = [MadeUpRun(arm, seed, points[arm], profile="idd") for arm in points for seed in (0, 1)]
    table = verdicts_table([Study("camvid", study(seeds=2, dsrl=53.0, lr=50.0)), Study("idd", other)])
    rows = {line.split("**")[1]: line.split("|")[1:-1] for line in table.splitlines()[2:]}
    _, camvid, idd, both = rows["C1"]
    assert camvid.startswith(" [reproduced](results/camvid/notebooks/41_main_results.ipynb)<br>gain of at least 2: +2.")
    assert idd.startswith(" [not reproduced](results/idd/") and both == " **partly** "
    assert re.search("<br>no: FA adds: .*<br>yes: SISR adds: ", rows["C16"][2])  # so it is partly
    _, camvid, idd, both = rows["C23"]  # of this data set alone
    assert camvid == " – " and "[reproduced]" in idd and both == " **reproduced** "
    assert "**C7**" not in verdicts_table([Study("camvid", []), Study("idd", other)])  # not run


def test_a_claim_that_a_missing_part_leaves_open_names_that_part():
    runs = [
        MadeUpRun(arm, seed, points, profile="idd") for arm, points in (("dsrl", 53), ("lr", 50)) for seed in (0, 1)
    ]
    row = next(line for line in verdicts_table([Study("idd", runs)]).splitlines() if "**C6**" in line)
    assert "[inconclusive]" in row and "<br>gain, second host: not run" in row


def test_claims_of_one_data_set_alone_are_shown_once_they_were_run():
    points = {"dsrl_share": 53.0, "sisr_frozen_share": 50.0, "dsrl": 60.0, "lr": 50.0}
    points |= {"dsrl_res": 50.0, "sssr_sisr_res_long": 50.0}
    runs = [MadeUpRun(arm, seed, points[arm], profile="idd") for arm in points for seed in (0, 1)]
    *_, row = own_claims(Study("idd", runs)).splitlines()  # C1 and C16 were run as well, but not here alone
    assert row.startswith("| **C23**") and "over a frozen one: +3." in row and row.count("**C") == 1
    assert "2 other quantities: not run (sssr_long, sisr_noise_share)" in row
    assert own_claims(Study("idd", runs[4:])).count("\n") == 1  # the head of the table


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('contrast = { dsrl = 1', 'contrast = { dslr = 1'), r"unknown arms \['dslr'\] in "),
        (('interest = 0.5', ''), "KeyError: 'interest'"),
        (('interest = 0.5', 'interest = "0.5"'), r" = '0\.5'; allowed: a number 0 or more"),
        (('[[claims]]', '[[claims]]\nclami = 3'), "unexpected keyword argument 'clami'"),
        (('[[claims]]', '[[claims]]\nprofiles = ["cmavid"]'), r"unknown profiles \['cmavid'\] of claim C1"),
        (('[[claims]]', '[claims'), "cannot be read: TOMLDecodeError"),
        (('contrast = { dsrl = 1, lr = -1 }', ''), "'gain of at least 2' needs one of contrast, effect and cost"),
        (('[[claims]]', '[[claims]]\nid = "C0"\ntext = "?"\nsource = "?"\n[[claims]]'),
         "claim C0 needs a part with a test that is neither gate nor weaker"),
    ],
)  # fmt: skip
def test_rules_name_what_there_is(tmp_path, change, said):
    text = (root() / "claims.toml").read_text()
    assert change[0] in text
    (tmp_path / "claims.toml").write_text(text.replace(*change, 1))
    with pytest.raises(ValueError, match=rf"claims\.toml.*{said}"):
        load_rules(tmp_path / "claims.toml")
