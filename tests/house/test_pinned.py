"""What no refactoring may change: names, learning rates, orders, weights, pixels. Of 71ad65e; later runs were added."""

import hashlib
import json
from pathlib import Path

import pytest

import streets
from dsrl_lib import network, runs
from dsrl_lib.paths import root
from dsrl_lib.training.batches import batch_keys, sample_order
from dsrl_lib.training.schedule import epochs_before, learning_rate
from study import plan
from study.presets import parent_of, preset
from study.profiles import PROFILES

PINNED = json.loads(Path(__file__).with_name("pinned.json").read_text())
STEPS, IMAGES = 45, 367
"""Of CamVid: steps of an epoch at batch size 8, and training frames."""


@pytest.mark.parametrize("profile", list(PROFILES))
def test_planned_runs_keep_their_names(profile):
    assert [run.run_id for run in plan.planned_runs(profile)] == PINNED["run_ids"][profile]


def planned_epochs_before(config) -> int:
    parent = parent_of(config)
    return parent.optim.epochs + planned_epochs_before(parent) if parent else 0


@pytest.mark.parametrize("arm", list(PINNED["learning_rate"]))
def test_learning_rate_at_the_first_and_last_step(arm):
    config = preset("camvid", arm)
    before, last = planned_epochs_before(config), STEPS * config.optim.epochs - 1
    assert [learning_rate(config, step, STEPS, before) for step in (0, last)] == PINNED["learning_rate"][arm]


@pytest.mark.parametrize("arm", list(PINNED["order"]))
def test_order_of_the_first_and_last_epoch(arm):
    config = preset("camvid", arm)
    first = planned_epochs_before(config)
    epochs = (first, first + config.optim.epochs - 1)
    orders = [sample_order(config.seed, epoch, IMAGES)[:8].tolist() for epoch in epochs]
    steps = (0, STEPS * (config.optim.epochs - 1))
    assert [batch_keys(config, step, IMAGES, first) for step in steps] == [
        [(epoch, index) for index in order] for epoch, order in zip(epochs, orders, strict=True)
    ]
    assert orders == PINNED["order"][arm]


def test_committed_runs_keep_the_epochs_behind_their_start(monkeypatch):
    """By the records alone, for a directory and for its configuration; 139 of 241 runs start from another one."""
    monkeypatch.setenv("DSRL_RESULTS", str(root() / "results"))
    directories = sorted(path.parent for path in (root() / "results" / "camvid" / "runs").glob("*/config.json"))
    assert {path.name: epochs_before(runs.read_config(path)) for path in directories} == PINNED["epochs_before"]
    for directory in directories:
        stages = runs.chain(directory)
        assert [stage.run_id for stage in stages] == [stage.run_id for stage in runs.chain(stages[-1])]
        assert stages[-1].run_id == directory.name and stages[0].warm_start is None


@pytest.mark.parametrize("host", list(PINNED["initial_weights"]))
def test_a_network_keeps_its_initial_weights(host):
    """The sum of their magnitudes, with all branches of DSRL and seed 0; processors differ in the last bits."""
    model = network.build(preset("camvid", "dsrl", host, overrides=["model.pretrained=none"]))
    total = sum(parameter.double().abs().sum().item() for parameter in model.parameters())
    assert total == pytest.approx(PINNED["initial_weights"][host], rel=1e-6)


def test_streets_keep_their_pixels():
    """Drawn here: a cache would hold those of before a change."""
    pinned = dict(PINNED["streets"])
    assert pinned.pop("version") == streets.VERSION
    for name, digest in pinned.items():
        image, ids = streets.scene(0, "train", int(name.split("_")[1]))
        assert hashlib.sha256(image.tobytes() + streets.train_ids(ids).tobytes()).hexdigest() == digest
