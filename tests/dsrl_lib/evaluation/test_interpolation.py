"""Interpolation beside the SISR branch: by hand, computed once, in the table and in the chart."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_runs import TINY, tiny

from dsrl_lib.config import Downsampling
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation import interpolation
from dsrl_lib.evaluation.interpolation import METHODS, interpolation_quality, upsample
from dsrl_lib.records import read_json, write_json
from study.catalogue import input_key
from study.figures import arm_plots
from study.presets import preset
from study.report import reconstruction


def test_upsampling_by_hand():
    x = torch.arange(8.0).square().repeat(1, 1, 6, 1)  # (1, 1, 6, 8)
    assert torch.equal(upsample(x, "nearest"), x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert upsample(x, "bilinear")[0, 0, 5, 5] == pytest.approx(0.75 * 4 + 0.25 * 9)  # column 5 lies at 2.25

    def weight(d, a=-0.75):  # the cubic kernel of Keys (1981)
        return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a

    expected = sum(weight(abs(2.25 - k)) * k**2 for k in (1, 2, 3, 4))
    assert upsample(x, "bicubic")[0, 0, 5, 5].item() == pytest.approx(expected, rel=1e-5)


def test_psnr_by_hand_and_only_once(tmp_path, monkeypatch):
    monkeypatch.setattr(interpolation, "cache_dir", lambda: tmp_path)
    config = preset("smoke", "sssr_sisr", overrides=TINY)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 128, 256, 3), dtype=np.uint8)
    split = replace(load_split("streets", "val"), images=frames, manifest_hash="f" * 64)
    found = interpolation_quality(split, config)
    assert set(found) == {f"{name}_{method}" for name in ("psnr", "ssim") for method in METHODS}

    def psnr(image):  # the reduced image, its pixels repeated
        lr = interpolation.network_input(image, config).numpy().astype(float)  # (3, 16, 32)
        target = interpolation.network_input(
            image, replace(config, model=replace(config.model, input_scale=1.0))
        ).numpy()  # (3, 32, 64)
        error = (np.repeat(np.repeat(lr, 2, 1), 2, 2) - target) / 255
        return -10 * np.log10((error**2).mean())

    assert found["psnr_nearest"] == pytest.approx(np.mean([psnr(image) for image in frames]), abs=1e-3)
    monkeypatch.setattr(interpolation, "reconstruction_quality", None)
    assert interpolation_quality(split, config) == found
    for damaged in ("", "[1]", '{"psnr_nearest": "high"}'):
        (kept,) = tmp_path.rglob("*.json")
        good = kept.read_text()
        kept.write_text(damaged)
        with pytest.raises(TypeError, match="not callable"):  # it is found again
            interpolation_quality(split, config)
        kept.write_text(good)
    with pytest.raises(TypeError, match="not callable"):  # another size is another input
        interpolation_quality(split, preset("smoke", "sssr_sisr", overrides=(*TINY, "data.height=48")))


def test_of_two_runs_that_end_together_one_waits_for_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(interpolation, "cache_dir", lambda: tmp_path)
    both, calls = Barrier(2), []

    def slowly(*_):
        calls.append(None)
        with suppress(BrokenBarrierError):
            both.wait(0.5)  # for the other one, if it computes too
        return 20.0, 0.5

    monkeypatch.setattr(interpolation, "reconstruction_quality", slowly)
    split = SimpleNamespace(images=[np.zeros((32, 64, 3), np.uint8)], manifest_hash="a" * 64)
    config = preset("smoke", "sssr_sisr", overrides=TINY)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(interpolation_quality, [split] * 2, [config] * 2))
    assert found[0] == found[1] and len(calls) == len(METHODS)


def test_a_network_that_samples_the_frame_is_compared_with_even_reduction(tmp_path, monkeypatch):
    split = SimpleNamespace(images=np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), np.uint8))
    split.manifest_hash = "a" * 64
    found, config = [], preset("smoke", "sssr_sisr", overrides=TINY)
    for locations in ("none", "uniform"):  # in one cache, each would read what the other left
        monkeypatch.setattr(interpolation, "cache_dir", lambda name=locations: tmp_path / name)
        found.append(interpolation_quality(split, replace(config, downsampling=Downsampling(locations))))
    assert found[0] == found[1]


def test_a_run_with_a_sisr_branch_records_it_and_any_other_does_not(trained):
    plain, sisr = tiny("sssr"), tiny("sssr_sisr")
    metrics = [read_json(trained(config) / "metrics.json") for config in (plain, sisr)]
    for split in ("val", "test"):
        assert metrics[0][split].keys() == {"miou", "iou", "psnr", "ssim"}
        expected = interpolation_quality(load_split("streets", split), sisr)
        assert {name: metrics[1][split][name] for name in expected} == expected
        assert 10 < expected["psnr_bicubic"] < 60


def _run(arm: str, **test: float) -> SimpleNamespace:
    return SimpleNamespace(arm=arm, seed=0, metrics={"test": test}, config=preset("camvid", "dsrl").to_dict())


def test_the_table_and_the_chart_show_interpolation_for_old_runs_too(results):
    both = {"lr": [_run("lr", psnr=None, ssim=None)], "dsrl": [_run("dsrl", psnr=21.0, ssim=0.6)],
            "dsrl_joint": [_run("dsrl_joint", psnr=27.0, ssim=0.8, psnr_bicubic=26.5, ssim_bicubic=0.75)]}  # fmt: skip
    study = SimpleNamespace(profile="camvid", arms=list(both), select=both.get)
    table = reconstruction.quality(study)
    assert table["arm"].tolist() == ["dsrl", "dsrl_joint"] and table["psnr_bicubic"].isna().tolist() == [True, False]
    key = input_key(both["dsrl"][0].config)
    assert key == "camvid 360x480 x 0.5"
    (results / "camvid").mkdir(parents=True)
    known = {"psnr_nearest": 25.7, "psnr_bicubic": 26.2, "ssim_bicubic": 0.7}
    write_json(results / "camvid" / "interpolation.json", {key: {"test": known}})
    table = reconstruction.quality(study)
    assert table["psnr_bicubic"].tolist() == [26.2, 26.5]  # what a run recorded itself counts more
    figure = arm_plots.reconstruction(table)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["nearest upsampling", "bicubic upsampling"]
    low, high = figure.axes[0].get_xlim()
    assert low < 21 and high > 27


def test_a_frame_too_thin_for_ssim_does_not_spoil_the_mean(tmp_path, monkeypatch):
    monkeypatch.setattr(interpolation, "cache_dir", lambda: tmp_path)
    qualities = iter([(20.0, float("nan"))] * 3 + [(40.0, 0.5)] * 3)
    monkeypatch.setattr(interpolation, "reconstruction_quality", lambda *_: next(qualities))
    split = SimpleNamespace(images=[np.zeros((32, 64, 3), np.uint8)] * 2, manifest_hash="a" * 64)
    found = interpolation_quality(split, preset("smoke", "sssr_sisr", overrides=TINY))
    assert found["psnr_bicubic"] == 30 and found["ssim_bicubic"] == 0.5
