"""Facts that no refactoring may change, written down at commit 71ad65e: names, learning rates, orders, pixels."""

import hashlib
import json

import numpy as np
import pytest

from dsrl_lib.data.split import load_split
from dsrl_lib.paths import root
from dsrl_lib.training.schedule import epochs_before, learning_rate
from study import plan
from study.arms import ARMS
from study.presets import preset
from study.profiles import PROFILES

PINNED = json.loads((root() / "tests" / "pinned.json").read_text())
STEPS, IMAGES = 45, 367
"""Of CamVid: steps of an epoch at batch size 8, and training frames."""


@pytest.mark.parametrize("profile", list(PROFILES))
def test_planned_runs_keep_their_names(profile):
    assert [run.run_id for run in plan.planned_runs(profile)] == PINNED["run_ids"][profile]


@pytest.mark.parametrize("arm", list(ARMS))
def test_learning_rate_at_the_first_and_last_step(arm):
    config = preset("camvid", arm)
    last = STEPS * config.optim.epochs - 1
    assert [learning_rate(config, step, STEPS) for step in (0, last)] == PINNED["learning_rate"][arm]


@pytest.mark.parametrize("arm", list(ARMS))
def test_order_of_the_first_and_last_epoch(arm):
    config = preset("camvid", arm)
    first = epochs_before(config)
    epochs = (first, first + config.optim.epochs - 1)
    orders = [np.random.default_rng([config.seed, epoch]).permutation(IMAGES)[:8].tolist() for epoch in epochs]
    assert orders == PINNED["order"][arm]


def test_streets_keep_their_pixels():
    pinned = dict(PINNED["streets"])
    pinned.pop("version")
    split = load_split("streets", "train")
    for name, digest in pinned.items():
        index = split.names.index(name)
        pixels = split.images[index].tobytes() + split.labels[index].tobytes()
        assert hashlib.sha256(pixels).hexdigest() == digest
