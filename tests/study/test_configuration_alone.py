"""A configuration alone decides a run: the tables of arms and profiles plan runs, and change none that is planned."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_runs import TINY, tiny

from dsrl_lib import network, runs
from dsrl_lib.records import write_json
from dsrl_lib.training.fit import fit
from study import manage, presets
from study.arms import ARMS
from study.latency import remeasure
from study.presets import preset
from study.profiles import PROFILES
from study.train import train_with_parents

CHAIN = ("sssr", "sssr_sisr", "dsrl")
HOW = {"device": "cpu", "progress": False}


def pretend_complete(config) -> None:
    runs.prepare(runs.folder(config), config)
    write_json(runs.folder(config) / "metrics.json", {})


def test_other_tables_change_no_bit_of_a_run_from_its_configuration(trained, results, monkeypatch):
    last = trained(tiny("dsrl"))
    planned = [last.parent / tiny(arm).run_id for arm in CHAIN]

    for arm in CHAIN:
        monkeypatch.setitem(ARMS, arm, dataclasses.replace(ARMS[arm], after=None, updates=7))
    base = dataclasses.replace(PROFILES["smoke"].base, optim=dataclasses.replace(tiny("lr").optim, lr=0.5, epochs=9))
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], base=base))
    for one in planned:
        two = fit(runs.read_config(one), **HOW)
        assert two.name == one.name
        a, b = (network.read(directory / "final.safetensors")[0] for directory in (one, two))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        for split in ("val", "test"):
            with np.load(one / f"counts_{split}.npz") as left, np.load(two / f"counts_{split}.npz") as right:
                assert all(np.array_equal(left[name], right[name], equal_nan=name in ("psnr", "ssim")) for name in left)
        histories = [pd.read_csv(path / "history.csv").drop(columns="images_per_s") for path in (one, two)]
        pd.testing.assert_frame_equal(*histories)


def test_a_start_that_is_missing_is_named_with_what_to_do(results):
    config = tiny("sssr_sisr")
    with pytest.raises(FileNotFoundError, match=f"starts from the run {config.warm_start}, which is not complete"):
        fit(config, **HOW)
    assert not runs.folder(config).exists()
    pretend_complete(tiny("sssr"))
    said = f"{config.warm_start}, and .* is missing, though that run is complete: weights"
    for train in (fit, train_with_parents):
        with pytest.raises(FileNotFoundError, match=said):
            train(config, **HOW)


def test_weights_of_another_run_are_refused_as_a_start(results):
    config, other = tiny("sssr_sisr"), preset("smoke", "sssr", seed=1, overrides=TINY)
    pretend_complete(tiny("sssr"))
    network.save(network.build(other), other, runs.folder(tiny("sssr")) / "final.safetensors")
    with pytest.raises(ValueError, match=f"holds the weights of {other.run_id}; expected those of {config.warm_start}"):
        fit(config, **HOW)


def test_a_changed_record_of_a_start_is_refused(results):
    config, start = tiny("sssr_sisr"), tiny("sssr")
    runs.prepare(runs.folder(start), dataclasses.replace(start, seed=5))
    with pytest.raises(ValueError, match=r"config\.json was changed: it is the configuration of smoke-.*-sssr-s5-"):
        runs.chain(config)
    (runs.folder(start) / "config.json").unlink()
    with pytest.raises(ValueError, match=f"starts from the run {start.run_id}, which is not in"):
        runs.chain(config)


def test_the_run_that_was_made_is_the_run_that_was_planned(results):
    config = tiny("lr")
    pretend_complete(config)
    assert train_with_parents(config, **HOW) == runs.folder(config)
    path = runs.folder(config) / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"seed": 3}))
    with pytest.raises(
        ValueError, match=rf"{config.run_id}/config\.json was changed: it is the configuration of .*-s3-"
    ):
        train_with_parents(config, **HOW)


def test_an_edited_run_is_neither_compared_nor_measured(results):
    config, other = tiny("lr"), tiny("sssr")
    for made in (config, other):
        pretend_complete(made)
        write_json(runs.folder(made) / "env.json", {"threads": 1})
        write_json(runs.folder(made) / "metrics.json", {"val": {"miou": 0.5}, "test": {"miou": None}})
    assert "model.sssr" in manage.compare(runs.folder(config), runs.folder(other))
    path = runs.folder(config) / "config.json"
    path.write_text(path.read_text().replace('"sssr": false', '"sssr": true'))
    for take in (lambda: manage.compare(runs.folder(config), runs.folder(other)), lambda: remeasure("smoke", turns=1)):
        with pytest.raises(ValueError, match=r"config\.json was changed: it is the configuration of smoke-"):
            take()


def test_no_run_is_trained_if_a_later_one_cannot_be(results):
    config = tiny("sssr_sisr", "optim.batch_size=3")
    with pytest.raises(ValueError, match=r"optim\.batch_size = 3 cannot be shared by 2 processes"):
        train_with_parents(config, **HOW, devices=2)
    config = preset("smoke", "adaptive_swap", overrides=TINY)
    with pytest.raises(
        ValueError, match=r"devices = \d+; allowed: 2 or more for each device with downsampling.swapped"
    ):
        train_with_parents(config, **HOW, devices=config.optim.batch_size)
    assert not list(results.glob("*/runs/*"))


def test_a_table_of_arms_that_changed_since_is_noticed(results, monkeypatch):
    config = tiny("dsrl")
    monkeypatch.setitem(presets.ARMS, "dsrl", dataclasses.replace(ARMS["dsrl"], after="sssr"))
    with pytest.raises(ValueError, match=f"starts from {config.warm_start}, but the table of arms now plans smoke-"):
        train_with_parents(config, **HOW)
