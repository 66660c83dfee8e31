"""Latencies in turns, and the input of equal time, by a clock that is known."""

import itertools
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up_runs import MadeUpRun

from dsrl_lib import runs
from dsrl_lib.evaluation import cost
from dsrl_lib.records import read_json, write_json
from study.claims import table as claims_table
from study.claims.judge import verdict
from study.evidence import Study
from study.figures.arm_plots import cost_shares
from study.interpolation import write_interpolation
from study.latency import remeasure
from study.latency_match import latency_matched_scale
from study.presets import preset
from study.profiles import PROFILES
from study.report.comparison import accuracy_cost_chart, cost_table
from study.report.latencies import at_equal_time, comparable_latencies, latency_table
from study.report.results import write_results
from study.turns import read_turns, write_turns


@pytest.fixture
def clock(monkeypatch):
    """An inference takes `base + per_pixel x pixels` of a clock that only it moves, and `head` more with a head."""
    settings = SimpleNamespace(now=0.0, base=0.010, per_pixel=1e-6, head=0.004, slow=itertools.repeat(1.0))

    def infer(model, x, config):
        time = settings.base + settings.per_pixel * x.shape[2] * x.shape[3]
        settings.now += (time + (settings.head if model.sssr is not None else 0)) * next(settings.slow)

    monkeypatch.setattr(cost, "_infer", infer)
    monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=lambda: settings.now))
    monkeypatch.setattr(cost, "WARM_UP", 0)
    monkeypatch.setattr(cost, "REPEATS", 1)
    return settings


def test_the_scale_of_equal_time_is_where_the_host_takes_as_long(clock):
    """At LR 180x240 the head takes as long as 4000 pixels, so the host's input has 47200."""
    config = preset("camvid", "sssr", overrides=["model.pretrained=none"])
    found = latency_matched_scale(config, turns=3)
    assert found.scale == pytest.approx(((180 * 240 + 4000) / (360 * 480)) ** 0.5, abs=0.001)
    assert (found.low, found.high, found.turns) == pytest.approx((found.scale, found.scale, 3))


def test_a_clock_that_gives_no_input_of_equal_time_is_an_error(clock):
    clock.head = 1.0
    config = preset("camvid", "sssr", overrides=["model.pretrained=none"])
    with pytest.raises(ValueError, match=r"scale of 2\.4\d+ .*allowed are 0\.5 to 0\.8: is the machine busy"):
        latency_matched_scale(config, turns=1)


def test_every_turn_is_kept_whatever_device_the_runs_come_from_and_they_keep_what_they_recorded(results, clock):
    configs = [preset("smoke", "lr", seed=seed, overrides=["data.height=64", "data.width=128"]) for seed in (0, 1)]
    for config, device in zip(configs, ("CPU, of another machine", "some GPU"), strict=True):
        runs.prepare(runs.folder(config), config)
        write_json(runs.folder(config) / "env.json", {"device": device, "threads": 1})
        write_json(runs.folder(config) / "metrics.json", {"cost": {"macs_full": 7, "latency_ms_host": 99.0}})
    clock.slow = iter((1.0, 3.0, 2.0))  # one network, one inference a turn
    assert remeasure("smoke", turns=3) == (2, 1)
    expected = [1e3 * factor * (0.010 + 1e-6 * 32 * 64) for factor in (1, 3, 2)]
    for config in configs:
        assert read_turns("smoke")[config.run_id]["latency_ms_host"] == pytest.approx(expected, abs=1e-3)
        recorded = read_json(runs.folder(config) / "metrics.json")["cost"]
        assert recorded == {"macs_full": 7, "latency_ms_host": 99.0}
    for turns in (0, 10**30):
        with pytest.raises(ValueError, match=f"turns = {turns}; allowed: a whole number, from 1 to 1000"):
            remeasure("smoke", turns=turns)


def test_without_runs_nothing_is_measured_and_no_file_is_emptied(results, monkeypatch):
    path = write_turns("smoke", "a device", [(["run"], {"latency_ms_host": [1.0]})])
    before = path.read_bytes()
    (path.parent / "results.csv").write_text("mine")
    (path.parent / "interpolation.json").write_text("mine")
    for write in (partial(remeasure, turns=1), write_results, write_interpolation):
        with pytest.raises(ValueError, match=f"profile smoke has no complete run in {results}"):
            write("smoke")
    assert path.read_bytes() == before
    assert {(path.parent / name).read_text() for name in ("results.csv", "interpolation.json")} == {"mine"}
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device = 'cuda', but torch finds no CUDA device here"):
        remeasure("smoke", "cuda", turns=1)


def made() -> Study:
    return Study("camvid", [MadeUpRun(arm, seed, 50.0) for arm in ("lr", "dsrl", "sssr_long") for seed in (0, 1)])


def test_c3_is_judged_by_the_turns_and_not_by_copies_of_one_number(results):
    study = made()
    before = verdict(study, "C3").findings[2]
    assert (before.measured.levels, len(before.measured.per_seed)) == ((), 2)
    assert "(2 seeds)" in claims_table.sentence(before.part, before.measured)
    turns = {"dsrl": [40.0, 44.0, 42.0], "sssr_long": [40.0, 40.0, 40.0], "lr": [35.0, 35.0, 35.0]}
    networks = []
    for arm, pruned in turns.items():
        ids = [run.run_id for run in study.select(arm)]
        networks.append((ids, {"latency_ms_pruned": pruned, "latency_ms_host": [35.0] * 3, "latency_ms_full": pruned}))
    write_turns("camvid", "CPU", networks)
    study = made()
    after = verdict(study, "C3").findings[2]
    value = after.measured
    assert (value.estimate, value.low, value.high) == pytest.approx((1.05, 1.0, 1.1))
    assert after.outcome == "yes" and value.levels == ("turns",)
    assert claims_table.sentence(after.part, value).endswith(": 1.05 [1.00, 1.10] (3 turns)")
    text = latency_table(study)
    assert "| dsrl" in text and "42.0 [40.0, 44.0]" in text and "1.20 [1.14, 1.26]" in text
    again = Study("camvid", [*study.runs, MadeUpRun("sssr", 0, 50.0)])
    alike = {"latency_ms_pruned": [40.0] * 3, "latency_ms_host": [35.0] * 3, "latency_ms_full": [40.0] * 3}
    write_turns("camvid", "CPU", [*networks, ([again.select("sssr")[0].run_id], alike)])
    rows = [line.split("|")[1].strip() for line in latency_table(again).splitlines() if line.startswith("|")][2:]
    assert rows == ["lr", "sssr, sssr_long", "dsrl"]
    np.testing.assert_array_equal(study.turns(["dsrl"])["dsrl"]["latency_ms_host"], [35.0] * 3)


def test_the_turns_are_read_once(results, monkeypatch):
    study, reads = made(), []
    monkeypatch.setattr("study.evidence.read_turns", lambda profile: reads.append(profile) or {})
    assert latency_table(study).startswith("Not measured in turns") and study.turns(["lr"]) == {}
    verdict(study, "C3")
    assert reads == ["camvid"]


def timed(arm: str, seed: int, device: str, milliseconds: float) -> MadeUpRun:
    run = MadeUpRun(arm, seed, 50.0)
    run.env["device"] = device
    names = [f"{name}_{form}" for name in ("params", "macs", "peak_mib") for form in ("host", "pruned", "full")]
    latencies = {f"latency_ms_{form}": milliseconds for form in ("host", "pruned", "full")}
    run.metrics["cost"] = {"input": [180, 240]} | dict.fromkeys(names, 1.0) | latencies
    return run


def test_latencies_of_two_machines_are_not_compared(results):
    runs = [timed("lr", 0, "A", 10.0), timed("lr", 1, "A", 20.0), timed("lr", 2, "B", 90.0),
            timed("dsrl", 0, "A", 30.0), timed("relaxed", 0, "B", 99.0)]  # fmt: skip
    study = Study("camvid", runs)
    found = comparable_latencies(study, ["lr", "dsrl", "relaxed"])
    assert {arm: forms["pruned"] for arm, forms in found.items()} == {"lr": 15.0, "dsrl": 30.0}
    shown = cost_table(study)["latency (ms), pruned"]
    assert shown["lr"] == 15.0 and np.isnan(shown["relaxed"])
    turns = {f"latency_ms_{form}": [4.0, 6.0, 5.0] for form in ("host", "pruned", "full")}
    write_turns("camvid", "C", [([run.run_id for run in runs if run.arm != "dsrl"], turns)])
    found = comparable_latencies(Study("camvid", runs), ["lr", "dsrl", "relaxed"])
    assert found.keys() == {"lr", "relaxed"} and found["relaxed"]["full"] == 5.0


def test_arms_that_only_train_differently_have_one_bar_and_those_that_sample_the_frame_their_own(results):
    """All have equal counts; `relaxed_moved` was complete after the networks were timed."""
    runs = [timed(arm, 0, "A", 99.0) for arm in ("lr", "relaxed_moved", "uniform_point", "adaptive_oracle")]
    forms = ("latency_ms_host", "latency_ms_pruned", "latency_ms_full")
    write_turns("camvid", "CPU", [([runs[0].run_id], {form: [34.0] for form in forms})])
    cost = cost_table(Study("camvid", runs))
    assert cost["sampling"].tolist() == ["", "", "uniform, nearest", "oracle 8x8, footprint"]
    macs, latency = cost_shares(cost).axes
    rows = [label.get_text() for label in macs.get_yticklabels()]
    assert rows == ["lr, relaxed_moved", "uniform_point", "adaptive_oracle"]
    assert [text.get_text().strip() for text in latency.texts] == ["not measured"] * 2


def test_at_equal_time_an_arm_is_compared_with_a_point_between_two_inputs_of_the_host(results):
    points = {"bilinear": 50.0, "mac_matched": 54.0, "dsrl": 51.0}
    runs = [MadeUpRun(arm, seed, points[arm]) for arm in points for seed in (0, 1)]
    times = {"bilinear": 30.0, "mac_matched": 40.0, "dsrl": 35.0}
    forms = ("latency_ms_host", "latency_ms_pruned", "latency_ms_full")
    networks = [
        ([run.run_id for run in runs if run.arm == arm], {form: [time] for form in forms})
        for arm, time in times.items()
    ]
    write_turns("camvid", "CPU", networks)
    assert at_equal_time(Study("camvid", runs[:4]), "dsrl") == "At equal time: not run (dsrl)."
    text = at_equal_time(Study("camvid", runs), "dsrl")  # half the way: 52 points
    assert "50 % of the way from `bilinear` (30.0 ms) to `mac_matched` (40.0 ms)" in text
    found = float(text.split("ms): ")[1].split(" mIoU")[0].replace("−", "-"))
    assert found == pytest.approx(-1.0, abs=0.1)
    networks[-1] = (networks[-1][0], {form: [47.0] for form in forms})
    write_turns("camvid", "CPU", networks)
    assert "100 % of the way" in at_equal_time(Study("camvid", runs), "dsrl")  # slower than the largest input
    networks[1] = (networks[1][0], {form: [31.0] for form in forms})
    write_turns("camvid", "CPU", networks)
    text = at_equal_time(Study("camvid", runs), "dsrl")  # the two inputs take equally long
    assert "minus `bilinear`: +0.95" in text and "minus `mac_matched`: −3.02" in text and "of the way" not in text


def test_a_chart_has_the_latency_of_each_host_and_its_quartiles(results, monkeypatch):
    runs = {name: [MadeUpRun("lr", seed, 50.0, host) for seed in (0, 1)]
            for name, host in (("lr", None), ("lr@second_host", "ddrnet23_slim"))}  # fmt: skip
    turns = {"lr": [10.0, 12.0, 14.0], "lr@second_host": [40.0, 44.0, 48.0]}
    write_turns("camvid", "CPU", [
        ([run.run_id for run in runs[name]], {f"latency_ms_{form}": turns[name] for form in ("host", "pruned", "full")})
        for name in runs
    ])  # fmt: skip
    monkeypatch.setattr("study.report.comparison.results_frame", lambda runs: pd.DataFrame(
        [{"host": run.host, "arm": run.arm, "test_miou": 50.0 + run.seed} for run in runs]))  # fmt: skip
    chart = accuracy_cost_chart(
        Study("camvid", [*runs["lr"], *runs["lr@second_host"]]), list(runs), "latency_ms_pruned", ""
    )
    assert [line.get_xdata()[0] for axes in chart.axes for line in axes.lines if line.get_marker() == "o"] == [12, 44]
    bars = [bar.get_segments()[0][:, 0].tolist() for axes in chart.axes for bar in axes.collections]
    assert [[text.get_text() for text in axes.texts] for axes in chart.axes] == [["lr"], ["lr"]]
    assert bars == [[11.0, 13.0], [42.0, 46.0]]
    assert isinstance(accuracy_cost_chart(Study("camvid", []), ["lr"], "latency_ms_pruned", ""), str)


def test_a_variant_with_the_same_host_is_a_point_of_its_own(monkeypatch):
    longer = PROFILES["camvid"].variants["twice_as_long"].overrides
    runs = [MadeUpRun("lr", 0, 50.0), MadeUpRun("lr", 1, 52.0), MadeUpRun("lr", 0, 60.0, overrides=longer)]
    scores = {run.run_id: points for run, points in zip(runs, (50.0, 52.0, 60.0), strict=True)}
    monkeypatch.setattr("study.report.comparison.results_frame", lambda runs: pd.DataFrame(
        [{"host": run.host, "arm": run.arm, "test_miou": scores[run.run_id], "macs_pruned": 1e6} for run in runs]
    ))  # fmt: skip
    axes = accuracy_cost_chart(Study("camvid", runs), ["lr", "lr@twice_as_long"], "macs_pruned", "", 1e6).axes[0]
    means = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert means == [51.0, 60.0] and {text.get_text() for text in axes.texts} == {"lr", "lr@twice_as_long"}


def test_without_turns_the_table_says_what_to_do_and_a_damaged_file_is_named(results):
    assert "python -m study latency --profile camvid" in latency_table(made())
    write_turns("camvid", "CPU", [(["a"], {"latency_ms_host": [1.0]}), (["b"], {"latency_ms_host": [1.0, 2.0]})])
    for networks, said in (
        ([None], "network = None"),
        ([{"runs": 5}], "network.runs = 5"),
        ([{"runs": ["a"], "latency_ms_host": 1}], "network.latency_ms_host = 1"),
        ([{"runs": ["a"], "latency_ms_host": []}], "a network has no turns"),
    ):
        write_json(results / "camvid" / "latency.json", {"device": "CPU", "date": "2026-01-01", "networks": networks})
        with pytest.raises(ValueError, match=rf"latency\.json is damaged: {said}"):
            read_turns("camvid")
    write_turns("camvid", "CPU", [(["a"], {"latency_ms_host": [1.0]}), (["b"], {"latency_ms_host": [1.0, 2.0]})])
    with pytest.raises(ValueError, match=r"latency\.json is damaged: networks have \[1, 2\] turns"):
        read_turns("camvid")
