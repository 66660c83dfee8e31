"""What benchmarks are told, before they measure, and what is printed."""

import re
from typing import get_args, get_type_hints

import pytest
import torch

from benchmarks import report
from benchmarks.__main__ import bench
from dsrl_lib.paths import DataError


def test_the_command_line_offers_every_benchmark():
    offered = get_type_hints(bench, include_extras=True)["what"].__origin__
    assert get_args(offered) == ("all", *report.BENCHES)


@pytest.mark.parametrize(
    ("what", "given", "printed"),
    [
        ("affinity", {}, ["affinity"]),
        ("stages", {}, ["stages"]),
        ("stages", {"sanje2v": "a checkout"}, ["stages", "rivals"]),
        ("all", {"dootmaan": None}, [*report.BENCHES]),
    ],
)
def test_what_is_asked_for_is_measured_and_printed(monkeypatch, capsys, what, given, printed):
    def measured(name):
        return lambda *paths: [{"what": f"row of {name}", "paths": paths}]

    monkeypatch.setattr(report, "BENCHES", {name: (name, measured(name)) for name in report.BENCHES})
    monkeypatch.setattr(report, "rivals_bench", measured("rivals"))
    monkeypatch.setattr(report, "check_checkout", lambda name, path: None)
    monkeypatch.setattr(report, "load_split", lambda *names: None)
    report.report(what, torch.get_num_threads(), given)
    text = capsys.readouterr().out
    assert re.findall(r"row of (\w+)", text) == printed
    assert f"{torch.get_num_threads()} threads" in text and ("a checkout" in text) == ("rivals" in printed)


def test_missing_frames_are_said_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_DATA", str(tmp_path))
    too_late = ("", lambda: pytest.fail("the error came after the work"))
    monkeypatch.setattr(report, "BENCHES", dict.fromkeys(report.BENCHES, too_late))
    for what in ("all", "loader"):
        with pytest.raises(DataError, match="CamVid is not complete"):
            report.report(what, 1, {})
