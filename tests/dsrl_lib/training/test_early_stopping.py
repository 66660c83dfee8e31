"""Runs that end early, and weights of single epochs that are kept: with scores by hand and no training."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_runs import tiny

import dsrl_lib.training.loop as training
from dsrl_lib import network, runs
from dsrl_lib.data.split import load_split
from dsrl_lib.deploy.pretrained import from_pretrained
from dsrl_lib.records import write_json
from dsrl_lib.training import begin, checkpoint, fit
from dsrl_lib.training.early_stopping import ends_early, is_best
from dsrl_lib.training.schedule import epochs_before
from dsrl_lib.training.snapshots import snapshots


def rows(*scores):
    return [{"epoch": i} if score is None else {"epoch": i, "val_miou": score} for i, score in enumerate(scores, 1)]


def test_patience_counts_validations_without_a_higher_score():
    assert not ends_early(rows(0.3, 0.2, 0.2), 0)
    assert not ends_early(rows(0.3, 0.2), 2)
    assert ends_early(rows(0.3, 0.2, 0.3), 2)  # equal is not higher
    assert ends_early(rows(None, 0.3, None, 0.2, None, 0.1), 2)  # epochs without a validation do not count
    assert not ends_early(rows(0.3, 0.2, 0.31, 0.1), 2)
    assert not ends_early([], 1) and not ends_early(rows(0.1), 1)


def test_the_best_is_higher_than_all_before():
    assert is_best(rows(0.1)) and is_best(rows(0.1, 0.05, 0.2))
    assert not is_best(rows(0.1, 0.1)) and not is_best(rows(0.1, None)) and not is_best([])


@pytest.fixture
def directory(results, monkeypatch):
    """A run of which each step writes its number into a weight and as loss; epochs score .1, .3, .2, .3, .2, ..."""
    scores = iter((0.1, 0.3, 0.2, 0.3, *[0.2] * 9))

    def step(state, batch, requests=tuple):
        state.step += 1
        next(state.network.parameters()).data.fill_(state.step)
        return {"loss": float(state.step)}, [False, False]

    def validate(state, split, *, details, workers):
        return SimpleNamespace(miou=next(scores), details=details, location_error=np.full(1, np.nan))

    monkeypatch.setattr(training, "train_step", step)
    monkeypatch.setattr(training, "validate", validate)
    monkeypatch.setattr(training, "validation_pictures", lambda *_: {})
    return results / "run"


def run(config, directory, keep=lambda state: None):
    directory.mkdir(parents=True, exist_ok=True)
    split = load_split("streets", "train")
    state = training.RunState(config, split, torch.device("cpu"))
    begin.continue_or_start(state, directory)
    found = training.train(state, directory, {"train": split, "val": split}, progress=False, keep=keep)
    return state, found


def test_a_run_ends_early_and_is_not_trained_further_when_it_is_taken_up_again(directory):
    config = tiny("sssr", "optim.epochs=8", "optim.validate_every=1", "optim.patience=2")
    state, found = run(config, directory)
    assert len(state.history) == 4 and state.step == 4 * state.epoch_steps
    assert found is None  # `fit` validates again, with details
    steps = np.arange(1, state.step + 1).reshape(4, state.epoch_steps)
    assert [row["loss"] for row in state.history] == steps.mean(1).tolist()
    again, found = run(config, directory)  # as after a kill between the last epoch and the final evaluation
    assert again.step == state.step and found is None
    plain, found = run(tiny("lr", "optim.epochs=3", "optim.validate_every=1"), directory.with_name("plain"))
    assert len(plain.history) == 9 and found.details  # lr has three times the epochs


def test_the_best_and_the_last_weights_are_kept(directory):
    config = tiny("sssr", "optim.epochs=6", "optim.validate_every=1")
    state, _ = run(config, directory, snapshots(directory, best=True, last=2))
    checkpoint.delete(directory)
    kept = {path.name: path for path in directory.glob("*.safetensors")}
    assert set(kept) == {"best_epoch0002.safetensors", "epoch0005.safetensors", "epoch0006.safetensors"}
    for name, path in kept.items():
        model, its_config = from_pretrained(path)
        assert its_config == config
        assert next(model.parameters()).flatten()[0] == int(name[-16:-12]) * state.epoch_steps


def test_fit_keeps_the_weights_that_it_is_asked_for(directory, monkeypatch):
    monkeypatch.setattr(fit, "validate", training.validate)
    monkeypatch.setattr(fit, "finish", lambda *_: None)
    folder = fit.fit(tiny("lr", "optim.validate_every=1"), device="cpu", keep_best=True, keep_last=2, progress=False)
    kept = {path.name for path in folder.glob("*epoch*.safetensors")}
    assert kept == {"best_epoch0002.safetensors", "epoch0002.safetensors", "epoch0003.safetensors"}


def test_no_stage_follows_a_run_that_may_end_early(results):
    first = tiny("sssr", "optim.patience=1")
    runs.prepare(runs.folder(first), first)
    child = runs.Config(profile="smoke", warm_start=first.run_id)
    with pytest.raises(ValueError, match=r"optim.patience = 1 of .*; allowed: 0 there, or a start from its weights"):
        epochs_before(child)
    with pytest.raises(ValueError, match=r"optim.patience = 1; allowed: 0 in a run that starts from another run"):
        tiny("dsrl", "optim.patience=1")


def test_a_complete_run_says_that_nothing_can_be_kept_any_more(results, capsys):
    config = tiny("sssr")
    runs.prepare(runs.folder(config), config)
    write_json(runs.folder(config) / "metrics.json", {})
    assert fit.fit(config) == runs.folder(config) and capsys.readouterr().err == ""
    fit.fit(config, keep_best=True)
    assert "is complete, and kept no weights of its epochs" in capsys.readouterr().err
    network.save(network.build(config), config, runs.folder(config) / "best_epoch0001.safetensors")
    fit.fit(config, keep_best=True)
    assert capsys.readouterr().err == ""
