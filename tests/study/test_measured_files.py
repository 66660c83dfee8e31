"""The files of `study shares --arm fa` and `study interpolation`: what was measured, of which arms and inputs."""

from types import SimpleNamespace

import pandas as pd
from tiny_runs import tiny

from dsrl_lib.records import read_json
from study import interpolation, shares
from study.factorial import cells


def test_gradient_shares_are_those_at_the_start_of_every_cell(results, monkeypatch):
    def measured(config, device):
        assert (config.profile, config.seed, device) == ("camvid", 2, "cpu")
        rows = [(at, term, 1.0, 2.0, len(config.arm)) for at in ("start", "end") for term in ("ce", "fa")]
        return pd.DataFrame(rows, columns=["at", "term", "weight", "gradient", "share"])

    monkeypatch.setattr(shares, "shares_table", measured)
    (results / "camvid").mkdir(parents=True)  # of the runs that the cells start from
    path = shares.write_shares("camvid", seed=2, device="cpu")
    assert path == results / "camvid" / "gradient_shares.csv"
    found = pd.read_csv(path)
    assert list(found) == ["arm", "term", "weight", "gradient", "share"]
    assert list(zip(found["arm"], found["term"], strict=True)) == [
        (arm, term) for arm in cells() for term in ("ce", "fa")
    ]
    assert found["share"].tolist() == [len(arm) for arm in found["arm"]]


def test_interpolation_is_measured_once_for_each_input_of_a_sisr_branch(results, monkeypatch):
    configs = [tiny("lr"), tiny("sssr_sisr"), tiny("dsrl"), tiny("dsrl", "data.width=128")]
    monkeypatch.setattr(interpolation, "some_runs", lambda _: [SimpleNamespace(config=c.to_dict()) for c in configs])
    monkeypatch.setattr(interpolation, "load_split", lambda *given: given)
    asked = []

    def quality(split, config):
        asked.append((split, config.data.width))
        return {"psnr_bicubic": float(config.data.width + len(split[1]))}

    monkeypatch.setattr(interpolation, "interpolation_quality", quality)
    (results / "smoke").mkdir(parents=True)  # of the runs
    path = interpolation.write_interpolation("smoke")
    assert path == results / "smoke" / "interpolation.json"
    assert read_json(path) == {
        f"streets 32x{width} x 0.5": {split: {"psnr_bicubic": width + len(split)} for split in ("val", "test")}
        for width in (64, 128)
    }
    assert asked == [(("streets", split), width) for width in (64, 128) for split in ("val", "test")]
