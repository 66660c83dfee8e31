"""The two stages of adaptive downsampling: the auxiliary network learns locations, then the host trains on samples."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_runs import TINY

from dsrl_lib import network, runs
from dsrl_lib.config import Downsampling
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.given_locations import mean_grid_errors
from dsrl_lib.models.downsampling.from_labels import mean_locations, solved_locations
from dsrl_lib.models.downsampling.locations import solve_locations, uniform_locations
from dsrl_lib.training import mean_grid
from dsrl_lib.training.batches import batch_keys, batches, training_set
from dsrl_lib.training.gradient_shares import gradient_norms
from dsrl_lib.training.loop import train_step
from dsrl_lib.training.schedule import epochs_before
from dsrl_lib.training.state import RunState
from study.catalogue import load_runs
from study.presets import parent_of, preset
from study.report.adaptive import location_error_table
from study.report.histories import total_epochs
from study.train import train_with_parents

CPU = torch.device("cpu")


def tiny(arm, *overrides):
    return preset("smoke", arm, overrides=(*TINY, "optim.validate_every=3", *overrides))


def first_batch(config, workers=0):
    return next(batches(training_set(load_split("streets", "train"), config), config, range(1), 0, CPU, workers))


def test_both_stages_train_their_part_alone(results):
    config = tiny("adaptive")
    first = parent_of(config)
    assert first.run_id == config.warm_start and first.downsampling.stage == "locations"
    directory = train_with_parents(config, device="cpu", progress=False)
    one, two = (network.read(runs.folder(c) / "final.safetensors")[0] for c in (first, config))
    start = network.build(first).state_dict()
    changed = {key: not torch.equal(start[key], one[key]) for key in one}
    assert {key for key in changed if changed[key]} <= {key for key in changed if key.startswith("downsampling.")}
    assert changed["downsampling.auxiliary.shift.weight"] and changed["downsampling.auxiliary.mean"]
    moved = {key.partition(".")[0] for key in one if not torch.equal(one[key], two[key])}
    assert moved == {"host"}

    history = pd.read_csv(runs.folder(first) / "history.csv")
    assert history["ce"].isna().all() and (history["locations"] - history["loss"]).abs().max() < 1e-9
    assert history["locations"].iloc[-1] < history["locations"].iloc[0]
    errors = json.loads((runs.folder(first) / "metrics.json").read_text())["val"]
    assert history["val_location_error"].iloc[-1] == pytest.approx(errors["location_error"], rel=1e-4)
    assert 0 < errors["location_error"] != errors["location_error_uniform"] > 0
    # The first stage left the host alone, so the second one has the whole schedule, and counts all its epochs.
    assert epochs_before(config) == 0 and runs.chain(directory)[0] == first
    history = pd.read_csv(directory / "history.csv")
    assert len(history) == 3 and history["ce"].notna().all()
    left = 1 - (history["step"] - 1) / history["step"].iloc[-1]  # of the schedule, before the last step of each epoch
    assert history["lr"].to_numpy() == pytest.approx(4e-3 * left.to_numpy() ** 0.9, rel=1e-4)
    (run,) = (run for run in load_runs("smoke") if run.run_id == config.run_id)
    assert total_epochs(run) == 3
    (first_run,) = (run for run in load_runs("smoke") if run.run_id == first.run_id)
    worse = SimpleNamespace(config=first_run.config, metrics={key: {"location_error": 0.5} for key in ("val", "test")})
    study = SimpleNamespace(profile="smoke", select=lambda arm: [first_run, worse])
    shown = location_error_table(study, {"locations": {"val": 0.0123, "test": 0.0234}})._repr_markdown_()
    _, _, val, test = ([cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines())
    error, even = (100 * errors[name] for name in ("location_error", "location_error_uniform"))
    predicted = f"{(error + 50) / 2:.2f} ({error:.2f} to 50.00)"
    assert val == ["8 x 8", "val", "2", predicted, "1.23", f"{even:.2f}"] and test[-2] == "2.34"


def test_the_mean_grid_has_the_error_of_a_naive_loop():
    settings = tiny("adaptive").downsampling
    train, val = (load_split("streets", name).labels for name in ("train", "val"))
    mean = sum(solved_locations(label, settings).double() for label in train) / len(train)
    errors = [float(((solved_locations(label, settings) - mean) ** 2).mean() ** 0.5) for label in val]
    assert mean_grid_errors("streets", settings)["val"] == pytest.approx(sum(errors) / len(val), rel=1e-4)


def test_boundaries_of_chosen_classes_alone_are_sampled_densely():
    """A frame of three bands: with the classes of the lower two, the upper border is of no one's interest."""
    label = np.repeat(np.array([0, 1, 2], np.uint8), (10, 10, 12))[:, None].repeat(48, 1)
    targets = uniform_locations((8, 8))
    for i, j in np.ndindex(8, 8):
        rows = (9, 10, 19, 20)  # both sides of both borders
        wanted = [row for row in rows if label[row, 0] == 2]
        targets[i, j, 0] = min(wanted, key=lambda row: abs(row - 31 * i / 7)) / 31
        targets[i, j, 1] = round(47 * j / 7) / 47
    found = solved_locations(label, Downsampling("oracle", classes="2"))
    assert torch.allclose(found, solve_locations(targets, 1.0), atol=1e-6)
    assert not torch.allclose(found, solved_locations(label, Downsampling("oracle")), atol=1e-2)


def test_the_stage_before_has_the_same_target_classes():
    stages = tiny("adaptive", "downsampling.classes=3 4")
    assert parent_of(stages).downsampling.classes == "3 4"


@pytest.mark.parametrize("arm", ["adaptive_oracle", "uniform_jitter", "locations"])
def test_locations_of_a_sample_depend_on_seed_epoch_and_index_alone(arm):
    config = tiny(arm, "data.crop_height=24")
    one, again = first_batch(config), first_batch(config, workers=1)
    assert one["locations"].shape == (16, 8, 8, 2) and torch.equal(one["locations"], again["locations"])
    assert one["input"].shape == one["hr"].shape  # the network itself reduces the frame
    plain = TrainingSet(load_split("streets", "train"), config.data, config.seed, 0.5)
    key = batch_keys(config, 0, len(plain), 0)[3]
    solved = solved_locations(plain[key]["labels"], config.downsampling)
    assert torch.equal(one["locations"][3], solved) is (arm != "uniform_jitter")


@pytest.mark.parametrize("arm", ["uniform_point", "adaptive_oracle"])
def test_dsrl_trains_on_top_of_it(arm):
    """The restored image is that of the frame, so its loss needs no other target; every part moves."""
    config = tiny(arm, "model.sssr=true", "model.sisr=true", "model.fa=true")
    state, batch = RunState(config, load_split("streets", "train"), CPU), first_batch(config)
    images = normalise(batch["input"])
    outputs = state.network(images, *([batch["locations"]] if "locations" in batch else []))
    assert outputs["image"].shape == images.shape and outputs["logits"].shape[2:] == images.shape[2:]
    assert outputs["seg_map"].shape[2] == images.shape[2] // 4  # of the samples, at stride 2
    norms = gradient_norms(state.network, batch, config)
    assert norms.keys() == {"ce", "mse", "fa"} and all(norm > 0 for norm in norms.values())
    before = {name: p.detach().clone() for name, p in state.network.named_parameters() if p.requires_grad}
    terms, _ = train_step(state, batch)
    assert set(terms) == {"ce", "mse", "fa", "loss"}
    assert not [name for name, p in state.network.named_parameters() if name in before and torch.equal(p, before[name])]


@pytest.mark.parametrize("arm", ["uniform_point", "adaptive_oracle", "adaptive_mean", "uniform_jitter"])
def test_a_step_of_every_arm_without_a_first_stage(arm, monkeypatch):
    config, train = tiny(arm), load_split("streets", "train")
    state = RunState(config, train, CPU)
    if arm == "adaptive_mean":
        assert torch.allclose(state.network.downsampling.fixed, mean_locations(train.labels, config.downsampling))
        monkeypatch.setattr(mean_grid, "mean_locations", None)  # a resumed run does not solve again
        assert torch.equal(RunState(config, train, CPU).network.downsampling.fixed, state.network.downsampling.fixed)
    terms, _ = train_step(state, first_batch(config))
    assert set(terms) == {"ce", "loss"} and 0 < terms["ce"] < 10
