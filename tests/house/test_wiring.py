"""A command gives its function what it was asked for: the functions are put in place here, and say what they got."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, call

import pandas as pd
import pytest

import dsrl_lib.__main__
import study.__main__
from dsrl_lib.commands import Machine
from dsrl_lib.config import Config
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.overrides import override
from study.latency_match import Match
from study.presets import preset

MINE = Config(profile="mine", arm="host")
TABLE = pd.DataFrame({"term": ["ce"], "share": [1.0]})
NETWORK = Mock()
NETWORK.eval.return_value = "network"
OPEN = "dsrl_lib.network_commands._open"
CALLS = [
    (
        "dsrl_lib", "samples mine.json out --count 3 --epoch 5 --set optim.epochs=7",
        {"dsrl_lib.training.samples.write_samples": ["a", "b", "c"]},
        [call(override(MINE, "optim.epochs", 7), Path("out"), 3, 5)],
        "3 samples: out",
    ),
    (
        "dsrl_lib", "statistics streets --split val",
        {"dsrl_lib.data.split.load_split": "two",
         "dsrl_lib.data.statistics.colour_statistics": ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))},
        [call("streets", "val"), call("two", progress=True)],
        "streets val, 3 images: red, green, blue\nmean 0.10000 0.20000 0.30000\nstd  0.40000 0.50000 0.60000",
    ),
    (
        "dsrl_lib", "propagate mine video out --steps 2 --flow raft --label-only --tolerance 3",
        {"dsrl_lib.data.propagated_set.write_propagated": {"train": 4, "val": 1}},
        [call("mine", Path("video"), Path("out"), steps=2, flow="raft", joint=False, tolerance=3.0)],
        "train 4, val 1 frames: out",
    ),
    (
        "dsrl_lib", "propagate mine video out",
        {"dsrl_lib.data.propagated_set.write_propagated": {"train": 4}},
        [call("mine", Path("video"), Path("out"), steps=1, flow="dis", joint=True, tolerance=1.5)],
        "train 4 frames: out",
    ),
    (
        "dsrl_lib", "submit images --weights w.pth --host espnetv2_s2.0 --flip --device cpu --out a.zip",
        {OPEN: ("network", "config"), "dsrl_lib.deploy.submit.submit": 1525},
        [call(Path("w.pth"), "espnetv2_s2.0", "cpu"),
         call("network", "config", Path("images"), Path("a.zip"), TTA(flip=True))],
        "1525 label maps: a.zip",
    ),
    (
        "dsrl_lib", "summary w.pth --host espnetv2_s2.0 --depth 1",
        {OPEN: (NETWORK, "config"), "dsrl_lib.evaluation.cost.example_input": "frame",
         "dsrl_lib.deploy.describe.summary": "a tree"},
        [call(Path("w.pth"), "espnetv2_s2.0"), call("config"), call("network", "frame", 1)],
        "a tree",
    ),
    (
        "study", "plan --profile idd --scan",
        {"study.plan.scanned_runs": ["run"], "study.plan.command": "train it"},
        [call("idd"), call("run")],
        "train it",
    ),
    (
        "study", "scan --profile camvid --device cpu --keep-best --keep-last 2",
        {"study.plan.scanned_runs": [SimpleNamespace(config="config")], "study.train.train_with_parents": None,
         "study.evidence.Study": "study", "study.report.scan.scan_table": TABLE,
         "study.report.scan.choices": ["a share"]},
        [call("camvid"), call("config", **asdict(Machine("cpu", keep_best=True, keep_last=2))), call("camvid"),
         call("study"), call("study")],
        "term  share\n  ce    1.0\na share",
    ),
    (
        "study", "latency --profile idd --device cuda --turns 4",
        {"study.latency.remeasure": (3, 2)},
        [call("idd", "cuda", turns=4)],
        "2 networks measured for 3 runs; `collect` and `claims` then use the new numbers",
    ),
    (
        "study", "latency --profile camvid --match espnetv2_s1.0 --turns 2",
        {"study.latency_match.latency_matched_scale": Match(0.6, 0.55, 0.7, 2)},
        [call(preset("camvid", "sssr", "espnetv2_s1.0", overrides=["model.pretrained=none"]), "cpu", turns=2)],
        "0.600 (0.550 to 0.700 in 2 turns): enter it for ('espnetv2_s1.0', 'camvid') in LATENCY_MATCHED_SCALE of "
        "study/presets.py",
    ),
    (
        "study", "shares --arm fa --profile idd --seed 3 --device cpu",
        {"study.shares.write_shares": "shares.csv"},
        [call("idd", 3, "cpu")],
        "shares.csv",
    ),
    (
        "study", "shares --arm dsrl --profile idd --host espnetv2_s0.5 --seed 3 --set loss.w2=2 --device cpu",
        {"study.shares.shares_table": TABLE},
        [call(preset("idd", "dsrl", "espnetv2_s0.5", 3, ["loss.w2=2"]), "cpu")],
        "term  share\n  ce      1",
    ),
    (
        "study", "probe --profile idd --arm dsrl --seed 3",
        {"study.probe.write_taps": "taps.csv"},
        [call("idd", "dsrl", 3)],
        "taps.csv",
    ),
    (
        "study", "branches --profile idd --arm dsrl_res --seed 3",
        {"study.branches.write_branch": "branches.csv"},
        [call("idd", "dsrl_res", 3)],
        "branches.csv",
    ),
    (
        "study", "interpolation --profile idd",
        {"study.interpolation.write_interpolation": "interpolation.json"},
        [call("idd")],
        "interpolation.json",
    ),
    ("study", "pictures", {"study.site.pictures.draw_pictures": ["a.svg", "b.jpg"]}, [call()], "a.svg\nb.jpg"),
    (
        "study", "runs --profile idd --compare one other",
        {"study.manage.run_of": "found", "study.manage.compare": "they differ"},
        [call("one", "idd"), call("other", "idd"), call("found", "found")],
        "they differ",
    ),
]  # fmt: skip
"""Package, command, the functions and what each answers, the calls that they get in turn, and what is printed."""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(json.dumps(MINE.to_dict()))
    Path("staged.json").write_text(json.dumps(replace(MINE, warm_start="an-earlier-run").to_dict()))


def ended(package: str, words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", [package, *words.split()])
    return {"dsrl_lib": dsrl_lib, "study": study}[package].__main__.main()


@pytest.mark.parametrize(
    ("package", "words", "answers", "calls", "printed"), CALLS, ids=[words for _, words, *_ in CALLS]
)
def test_a_command_passes_on_what_it_was_given(package, words, answers, calls, printed, monkeypatch, capsys):
    given = []

    def asked(answer, *arguments, **options):
        given.append(call(*arguments, **options))
        return answer

    for name, answer in answers.items():
        monkeypatch.setattr(name, lambda *a, answer=answer, **k: asked(answer, *a, **k))
    assert ended(package, words, monkeypatch) == 0
    assert given == calls and capsys.readouterr().out.rstrip() == printed


@pytest.mark.parametrize(
    ("package", "words", "message"),
    [
        ("dsrl_lib", "train staged.json --start w.pth",
         "--start w.pth, but staged.json starts from the run an-earlier-run; allowed: one of the two"),
        ("study", "shares --arm fa --host espnetv2_s0.5", "--host and --set go with one arm; --arm fa measures"),
        ("study", "shares --arm fa --set loss.w2=2", "--host and --set go with one arm; --arm fa measures"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_said(package, words, message, monkeypatch, capsys):
    assert ended(package, words, monkeypatch) == 1
    assert message in capsys.readouterr().err
