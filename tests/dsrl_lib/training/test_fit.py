"""A whole run: its files, bit-equal repeats, settings that cannot be. Tiny runs on `streets`."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import assert_same, tiny

from dsrl_lib import network, runs
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.losses.terms import TERMS
from dsrl_lib.registry import DATASETS
from dsrl_lib.training import fit as training
from dsrl_lib.training.finish import finish
from dsrl_lib.training.fit import fit
from dsrl_lib.training.loop import NonFiniteLossError


def test_a_run_has_every_file_and_a_complete_one_is_returned_at_once(trained, monkeypatch):
    config = tiny("sssr_sisr")
    directory = trained(config)
    results = directory.parents[2]
    assert directory == results / "smoke" / "runs" / config.run_id
    present = {p.name for p in directory.iterdir() if not p.name.startswith(".")}
    assert present == {
        "config.json", "env.json", "history.csv", "counts_val.npz", "counts_test.npz", "metrics.json",
        "final.safetensors", "tensorboard",
    }  # fmt: skip
    assert json.loads((directory / "config.json").read_text()) == config.to_dict()
    assert (results / "smoke" / "runs" / config.warm_start / "metrics.json").exists()  # stage 1 came with it
    history = pd.read_csv(directory / "history.csv")
    assert (history["loss"] - history[["ce", "mse"]].sum(axis=1)).abs().max() < 1e-4
    assert history["fa"].isna().all() and history["val_psnr"].notna().all()
    shown = EventAccumulator(str(directory / "tensorboard")).Reload().Tags()["images"]
    assert sorted(shown) == ["val/input", "val/prediction", "val/reconstruction", "val/truth"]
    environment = json.loads((directory / "env.json").read_text())
    assert environment["data"].keys() == {"train", "val", "test"}
    monkeypatch.setenv("DSRL_RESULTS", str(results))
    monkeypatch.setattr("dsrl_lib.training.fit.train", None)  # it would fail if called
    assert fit(config) == directory


def test_a_repeated_run_is_bit_identical_with_any_number_of_workers(trained, results):
    config = tiny("sssr", "optim.precision=bf16", "optim.epochs=2")
    assert_same(trained(config), fit(config, device="cpu", workers=1, progress=False))


def test_a_split_that_is_both_val_and_test_is_scored_once(results, monkeypatch):
    monkeypatch.setitem(DATASETS, "streets", replace(DATASETS["streets"], test_labels=False))
    scored = []

    def counting(model, split, config, **how):
        scored.append(split.names)
        return evaluate(model, split, config, **how)

    monkeypatch.setattr("dsrl_lib.training.loop.evaluate", counting)
    directory = fit(tiny("sssr"), device="cpu", progress=False)
    assert len(scored) == 1
    split = load_split("streets", "test")
    model, config = network.load(directory / runs.WEIGHTS)
    found = evaluate(model, split, config)
    for name in ("val", "test"):
        with np.load(directory / f"counts_{name}.npz") as stored:
            assert stored["images"].tolist() == split.names and (stored["trimap"] == found.trimap).all()
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics["test"] == metrics["val"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("optim.precision=fp16",), "fp16 needs a CUDA device"),
        (("optim.batch_size=65",), "batch_size = 65, but streets train has only 64 images"),
    ],
)
def test_impossible_settings_are_explained(results, overrides, message):
    with pytest.raises(ValueError, match=message):
        fit(tiny("lr", *overrides), device="cpu", progress=False)


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (1e3, "data.crop_height = 32: the logits of 4 x 32 x 64 pixels take"),
        (7e5, "data.height = 128: the logits of 1 x 128 x 128 pixels take"),
    ],
)
def test_sizes_beyond_memory_are_named_before_training(results, monkeypatch, free, said):
    monkeypatch.setattr("dsrl_lib.training.machine.free_bytes", lambda: free)
    config = tiny("lr", "data.height=128", "data.width=128", "optim.batch_size=4")
    with pytest.raises(ValueError, match=f"{said} .*GB are free; allowed: smaller sizes or optim.batch_size"):
        fit(config, device="cpu", progress=False)
    assert not (runs.folder(config) / "config.json").exists()


@pytest.mark.parametrize("scale", [1e6, 1e38])
def test_an_input_beyond_memory_is_named_before_training(results, scale):
    config = tiny("bilinear", f"model.input_scale={scale}")
    with pytest.raises(ValueError) as caught:
        fit(config, device="cpu", progress=False)
    assert str(caught.value).startswith(f"model.input_scale = {scale}: the logits of") and "GB are free" in str(
        caught.value
    )
    assert not (runs.folder(config) / "config.json").exists()


def test_a_new_term_has_a_column_in_the_history(tmp_path):
    """Beside today's columns, whose order and blanks stay byte for byte."""
    row = {"epoch": 1, "step": 4, "lr": 0.001, "loss": 1.5, "ce": 1.0, "mse": 0.5, "images_per_s": 2.0}
    runs.write_history(tmp_path / "today.csv", [row], TERMS)
    head = "epoch,step,lr,loss,ce,aux,mse,fa,images_per_s,val_miou,val_psnr\n"
    assert (tmp_path / "today.csv").read_text() == head + "1,4,0.001,1.5,1,,0.5,,2,,\n"
    runs.write_history(tmp_path / "new.csv", [row | {"edge": 0.25}], [*TERMS, "edge"])
    assert pd.read_csv(tmp_path / "new.csv")["edge"].item() == 0.25


def test_a_run_that_diverges_in_its_last_step_is_not_complete(tmp_path):
    """The loss of a step is that before it: what the last step has broken shows in the evaluation alone."""
    broken = SimpleNamespace(nll=np.array([1.0, float("nan")]))
    with pytest.raises(NonFiniteLossError, match=r"no finite cross entropy on val; .* a lower optim.lr"):
        finish(tmp_path, None, tiny("lr"), {"val": broken}, {}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("device", "kept"), [("cpu", 1), ("cuda", 0)])
def test_the_allocator_is_changed_for_a_run_on_the_cpu_alone(results, monkeypatch, device, kept):
    calls = []
    monkeypatch.setattr(training, "keep_freed_memory", lambda: calls.append(None))
    monkeypatch.setattr("dsrl_lib.training.machine.pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(training, "provenance", None)  # ends the run there
    with pytest.raises(TypeError, match="not callable"):
        fit(tiny("lr"), device=device, progress=False)
    assert len(calls) == kept
