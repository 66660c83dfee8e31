"""Training: bit-equal repeats, nothing lost to kill -9, clear stops. Tiny runs on `streets`."""

import copy
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import dsrl_lib.training.loop as training
from dsrl_lib import network, runs
from dsrl_lib.data.split import load_split
from dsrl_lib.device import pick_device
from dsrl_lib.losses import criterion as criterion_file
from dsrl_lib.losses.criterion import frequency_weights
from dsrl_lib.losses.terms import TERMS
from dsrl_lib.training import checkpoint
from dsrl_lib.training.batches import batches, noise_image
from dsrl_lib.training.fit import fit
from dsrl_lib.training.loop import NonFiniteLossError
from dsrl_lib.training.schedule import decay, learning_rate
from study.presets import preset
from study.train import train_with_parents

TINY = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64")


def tiny(arm: str, *overrides: str):
    return preset("smoke", arm, overrides=(*TINY, "optim.epochs=1", *overrides))


def content(directory: Path) -> dict:
    """All that a repeat must reproduce: weights, counts, scores, history without speed."""
    tensors, _ = network.read(directory / "final.safetensors")
    history = pd.read_csv(directory / "history.csv").drop(columns="images_per_s")
    metrics = json.loads((directory / "metrics.json").read_text())
    counts = (directory / "counts_test.npz").read_bytes()
    return {"tensors": tensors, "history": history.to_csv(), "test": metrics["test"], "counts": counts}


def assert_same(one: Path, two: Path) -> None:
    a, b = content(one), content(two)
    assert a["tensors"].keys() == b["tensors"].keys()
    assert all(torch.equal(a["tensors"][key], b["tensors"][key]) for key in a["tensors"])
    assert {k: v for k, v in a.items() if k != "tensors"} == {k: v for k, v in b.items() if k != "tensors"}


def test_a_run_has_every_file_and_a_complete_one_is_returned_at_once(results):
    config = tiny("sssr_sisr")
    directory = train_with_parents(config, progress=False)
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
    environment = json.loads((directory / "env.json").read_text())
    assert environment["data"].keys() == {"train", "val", "test"}
    started = time.monotonic()
    assert fit(config) == directory
    assert time.monotonic() - started < 1


def test_a_repeated_run_is_bit_identical_with_any_number_of_workers(tmp_path, monkeypatch):
    directories = []
    for name, workers in (("one", 0), ("two", 1)):
        monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / name))
        directories.append(fit(tiny("sssr"), workers=workers, progress=False))
    assert_same(*directories)


def test_a_run_killed_at_any_moment_ends_bit_identical(tmp_path, monkeypatch):
    config = tiny("sssr", "optim.epochs=2")
    monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / "undisturbed"))
    undisturbed = fit(config, progress=False)

    monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / "killed"))
    directory = runs.folder(config)
    program = (
        "import sys, dsrl_lib.training.loop\n"
        "from study.presets import preset\n"
        "from dsrl_lib.training.fit import fit\n"
        "dsrl_lib.training.loop.CHECKPOINT_SECONDS = 0  # after every step\n"
        "fit(preset('smoke', 'sssr', overrides=sys.argv[1:]), progress=False)"
    )
    command = [sys.executable, "-c", program, *TINY, "optim.epochs=2"]
    moments, rng = [], random.Random(0)
    for _ in range(2):
        process = subprocess.Popen(command, env=os.environ | {"PYTHONWARNINGS": "ignore"})
        before = runs.read_json(directory / "config.json") if moments else None
        seen = (directory / "last.pt").stat().st_mtime_ns if (directory / "last.pt").exists() else 0
        while process.poll() is None:
            saved = directory / "last.pt"
            if saved.exists() and saved.stat().st_mtime_ns > seen:
                break
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert before in (None, config.to_dict())
        moments.append(checkpoint.load(directory)["step"])
    assert 0 < moments[0] < moments[1] < 8
    assert not runs.is_complete(directory)
    assert_same(fit(config, progress=False), undisturbed)


def test_two_processes_never_write_one_run(results, capfd):
    config = tiny("lr")
    with ThreadPoolExecutor(1) as thread:
        with runs.acquire(runs.folder(config)):
            second = thread.submit(fit, config, progress=False)
            with pytest.raises(TimeoutError):
                second.result(timeout=3)
            assert not (runs.folder(config) / "config.json").exists()
        assert runs.is_complete(second.result(timeout=120))
    assert f"{config.run_id} is being written by another process: waiting for it" in capfd.readouterr().err


def test_a_non_finite_loss_names_step_terms_and_checkpoint(results, monkeypatch):
    config = tiny("sssr")
    real, calls = training.loss_terms, []

    def poisoned(*arguments):
        calls.append(None)
        terms = real(*arguments)
        return terms if len(calls) < 4 else terms | {"ce": terms["ce"] * float("nan")}

    monkeypatch.setattr(training, "loss_terms", poisoned)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)
    with pytest.raises(NonFiniteLossError, match=r"at step 3: ce = nan; the last good checkpoint is .*last\.pt"):
        fit(config, progress=False)
    monkeypatch.setattr(training, "loss_terms", real)
    assert runs.is_complete(fit(config, progress=False))  # and nothing was lost


def test_a_damaged_or_foreign_checkpoint_is_explained(results):
    config = tiny("lr")
    directory = runs.folder(config)
    directory.mkdir(parents=True)
    (directory / "last.pt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(ValueError, match=r"last\.pt is damaged .*delete it"):
        fit(config, progress=False)
    torch.save({"config": tiny("bilinear").to_dict()}, directory / "last.pt")
    with pytest.raises(ValueError, match="belongs to another configuration"):
        fit(config, progress=False)


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A results folder on a file system of 5 MB; the function that it gives makes it larger."""
    folder = tmp_path / "results"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system here: {mounted.stderr.strip()}")
    monkeypatch.setenv("DSRL_RESULTS", str(folder))
    yield lambda: subprocess.run(["mount", "-o", "remount,size=50m", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)  # a board of TensorBoard may still be open


def test_a_disk_that_fills_up_loses_no_finished_run(small_disk, tmp_path):
    finished = fit(tiny("lr"), device="cpu", progress=False)
    before = content(finished)
    with pytest.raises(OSError, match="No space left on device; what was there before is kept; make room and give"):
        for seed in range(1, 9):
            config = preset("smoke", "lr", seed=seed, overrides=(*TINY, "optim.epochs=1"))
            fit(config, device="cpu", progress=False)
    after = content(finished)
    assert before["counts"] == after["counts"] and before["history"] == after["history"]
    assert not runs.is_complete(runs.folder(config)) and not list(runs.folder(config).glob("*.partial"))
    small_disk()
    assert runs.is_complete(fit(config, device="cpu", progress=False))


def test_noise_targets_are_fixed_per_sample(results):
    first, again, other = (noise_image(index, (3, 8, 8)) for index in (4, 4, 5))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert abs(float(noise_image(1, (3, 64, 64)).std()) - 1) < 0.05


def test_lr_labels_are_used_by_the_lr_arm_alone(monkeypatch):
    sizes = []

    def spy(logits, labels, **_):
        sizes.append(tuple(labels.shape[1:]))
        return logits.float().mean() ** 2

    monkeypatch.setattr(criterion_file, "cross_entropy", spy)
    batch = {
        "input": torch.zeros(2, 3, 16, 32, dtype=torch.uint8),
        "hr": torch.zeros(2, 3, 32, 64, dtype=torch.uint8),
        "labels": torch.zeros(2, 32, 64, dtype=torch.uint8),
    }
    for arm in ("lr", "bilinear", "sssr"):
        training.loss_terms(network.build(tiny(arm)), batch, tiny(arm))
    assert sizes == [(16, 32), (32, 64), (32, 64)]


def test_class_weights_follow_the_share_of_pixels():
    weights = frequency_weights(np.array([[[0, 0], [0, 1]], [[0, 0], [255, 255]]]), 2)
    torch.testing.assert_close(weights, torch.tensor([1 / np.log(1.02 + 5 / 6), 1 / np.log(1.02 + 1 / 6)]).float())
    train, cpu = load_split("streets", "train"), torch.device("cpu")
    weighted = training.RunState(tiny("lr", "loss.class_weights=frequency"), train, cpu)
    assert torch.equal(weighted.class_weights, frequency_weights(train.labels, weighted.network.host.classes))
    assert training.RunState(tiny("lr"), train, cpu).class_weights is None


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


def test_an_unknown_device_is_explained():
    with pytest.raises(ValueError, match="device = 'tpu'; allowed: auto, cpu, cuda"):
        pick_device("tpu")


def test_the_schedule_is_polynomial_over_all_stages(results):
    history = pd.read_csv(fit(tiny("lr", "optim.lr=0.002"), progress=False) / "history.csv")
    steps = 3 * 64 // 16  # the arm's three epochs of 64 images in batches of 16
    assert history["step"].iloc[-1] == steps
    for step, rate in zip(history["step"], history["lr"], strict=True):
        assert rate == pytest.approx(2e-3 * (1 - (step - 1) / steps) ** 0.9, rel=1e-4)
    last = preset("smoke", "dsrl", overrides=["optim.epochs=2", "optim.lr=0.002"])
    rates = [learning_rate(last, step, 10, epochs_before=4) for step in (0, 10, 19)]
    assert rates == pytest.approx([2e-3 * part**0.9 for part in (1 / 3, 1 / 6, 1 / 60)])


def test_other_schedules_by_hand():
    cosine, step = (tiny("lr", f"optim.schedule={name}") for name in ("cosine", "step"))
    assert [decay(done, cosine) for done in (0, 0.5)] == pytest.approx([1, 0.5])
    assert [decay(done, step) for done in (0, 0.32, 0.34, 0.67, 0.99)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("loss", ["focal", "ohem"])
def test_other_losses_train(results, loss):
    history = pd.read_csv(fit(tiny("sssr", f"loss.segmentation={loss}"), progress=False) / "history.csv")
    assert np.isfinite(history["ce"]).all()


def test_frozen_batch_norms_stay_as_they_start(results):
    config = tiny("sssr", "model.frozen_bn=true")
    start = {k: v for k, v in network.build(config).state_dict().items() if ".bn." in k}
    end, _ = network.read(fit(config, progress=False) / "final.safetensors")
    assert start and all(torch.equal(value, end[name]) for name, value in start.items())


def test_a_schedule_that_ends_too_early_is_explained(results):
    with pytest.raises(ValueError, match=r"optim\.schedule_epochs = 2, but arm 'sssr_long' ends after 3 epochs"):
        train_with_parents(tiny("sssr_long", "optim.schedule_epochs=2"), progress=False)


def test_stages_are_one_long_run_cut_in_pieces(results):
    """A run of three stages is bit-equal to a chain of runs: same samples, learning rates, fresh optimisers."""
    chain = tiny("sssr_long")  # a stage, then two more from its weights
    alone = dataclasses.replace(chain, arm="sssr_random", warm_start=None,
                                optim=dataclasses.replace(chain.optim, epochs=3))  # fmt: skip
    directories = [train_with_parents(config, progress=False) for config in (chain, alone)]
    pair = [network.read(directory / "final.safetensors")[0] for directory in directories]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[1])


@pytest.mark.parametrize("arm", ["lr", "dsrl"])
def test_a_step_reads_the_device_once_after_backward_and_touches_no_file(results, monkeypatch, arm):
    """On a GPU every read waits for the device: here any read of a value is counted, with what was queued before it."""
    state = training.RunState(tiny(arm), load_split("streets", "train"), torch.device("cpu"))
    steps = range(2)
    events, opened = [], []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, noted(events, name, getattr(torch.Tensor, name)))
    monkeypatch.setattr(torch.Tensor, "backward", noted(events, "backward", torch.Tensor.backward))
    monkeypatch.setattr(torch.optim.AdamW, "step", noted(events, "step", torch.optim.AdamW.step))
    given = list(batches(load_split("streets", "train"), state.config, steps, 0, state.device, 0))
    monkeypatch.setattr("builtins.open", lambda *names, **_: opened.append(names))
    for batch in given:
        events.clear()
        with CountReads() as reads:
            terms, asked = training.train_step(state, batch, (False, True))
        assert events == ["backward", "tolist", "step"] and reads.number == 0  # tolist reads all values together
        assert terms["loss"] == pytest.approx(sum(terms.values()) - terms["loss"]) and asked == [False, True]
    assert state.step == 2 and not opened and not results.exists()


def noted(events: list, name: str, function):
    def call(*arguments, **options):
        events.append(name)
        return function(*arguments, **options)

    return call


class CountReads(TorchDispatchMode):
    """Counts values that Python reads from tensors, however it asks for them, but for `tolist`."""

    number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.number += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_a_non_finite_loss_changes_neither_weights_nor_optimiser(monkeypatch):
    state = training.RunState(tiny("lr"), load_split("streets", "train"), torch.device("cpu"))
    two = list(batches(load_split("streets", "train"), state.config, range(2), 0, state.device, 0))
    training.train_step(state, two[0])
    before = copy.deepcopy([dict(state.network.named_parameters()), state.optimizer.state_dict()["state"]])
    real = training.loss_terms
    monkeypatch.setattr(training, "loss_terms", lambda *given: {"ce": real(*given)["ce"] * float("inf")})
    with pytest.raises(NonFiniteLossError, match="non-finite loss at step 1: ce = inf"):
        training.train_step(state, two[1])
    after = [dict(state.network.named_parameters()), state.optimizer.state_dict()["state"]]
    assert state.step == 1
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_a_new_term_has_a_column_in_the_history(tmp_path):
    """Beside today's columns, whose order and blanks stay byte for byte."""
    row = {"epoch": 1, "step": 4, "lr": 0.001, "loss": 1.5, "ce": 1.0, "mse": 0.5, "images_per_s": 2.0}
    runs.write_history(tmp_path / "today.csv", [row], TERMS)
    head = "epoch,step,lr,loss,ce,aux,mse,fa,images_per_s,val_miou,val_psnr\n"
    assert (tmp_path / "today.csv").read_text() == head + "1,4,0.001,1.5,1,,0.5,,2,,\n"
    runs.write_history(tmp_path / "new.csv", [row | {"edge": 0.25}], [*TERMS, "edge"])
    assert pd.read_csv(tmp_path / "new.csv")["edge"].item() == 0.25
