"""Target shares: the calibrated weights give them, are recorded, survive a stop, and leave old runs alone."""

import os
import signal
from dataclasses import replace

import pandas as pd
import pytest
import torch
from tiny_runs import tiny

import dsrl_lib.training.loop as loop
from dsrl_lib import network, runs
from dsrl_lib.data.split import load_split
from dsrl_lib.records import read_json
from dsrl_lib.training import checkpoint
from dsrl_lib.training.batches import training_set
from dsrl_lib.training.calibration import calibrate
from dsrl_lib.training.fit import fit
from dsrl_lib.training.gradient_shares import fixed_batch
from dsrl_lib.training.loop import measure_gradients
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.resume import resume
from dsrl_lib.training.signals import StoppedError
from dsrl_lib.training.state import RunState

SHARES = ("loss.share_sisr=0.3", "loss.share_fa=0.1")
CPU = torch.device("cpu")


def test_after_calibration_each_term_has_its_target_share():
    config = tiny("dsrl", *SHARES)
    split = load_split("streets", "train")
    state = RunState(config, split, CPU)
    batch = fixed_batch(state.samples, config, CPU)
    measure_gradients(state, batch)
    assert state.weights.keys() == {"w1", "w2"} and min(state.weights.values()) > 0
    start = state.gradients_at_start
    for term, share in {"mse": 0.3, "fa": 0.1}.items():
        assert start[f"gradient_{term}"] / start["gradient_ce"] == pytest.approx(share, abs=1e-3)
        assert start[f"share_{term}"] == pytest.approx(share / 1.4, abs=1e-3)

    # The same by a plain backward pass of the weighted term, on the encoder of ESPNetv2.
    model = network.build(config).train()
    norms = {}
    for term in ("ce", "mse"):
        model.zero_grad()
        weighted = replace(config, loss=replace(config.loss, **state.weights))
        loss_terms(model, batch, weighted)[term].backward()
        encoder = [p.grad for p in model.host.base_net.parameters() if p.grad is not None]
        norms[term] = sum(grad.square().sum() for grad in encoder).sqrt().item()
    assert norms["mse"] / norms["ce"] == pytest.approx(0.3, abs=1e-3)


def test_one_share_leaves_the_other_weight_as_it_is():
    config = tiny("dsrl", "loss.share_fa=0.5", "loss.w1=0.7")
    split = load_split("streets", "train")
    state = RunState(config, split, CPU)
    measure_gradients(state, fixed_batch(state.samples, config, CPU))
    assert state.weights.keys() == {"w2"}
    assert state.weighted.loss.w1 == 0.7 and state.weighted.loss.w2 == state.weights["w2"] != config.loss.w2


def test_a_run_records_its_weights_and_resumes_with_the_same_bits(trained, results, monkeypatch):
    config = tiny("dsrl_joint", *SHARES)
    undisturbed = trained(config)
    environment = read_json(undisturbed / "env.json")
    weights, start = environment["loss_weights"], environment["gradients_at_start"]
    assert start["gradient_mse"] == pytest.approx(0.3 * start["gradient_ce"], rel=1e-3)
    history = pd.read_csv(undisturbed / "history.csv")
    assert history["w1"].tolist() == pytest.approx([weights["w1"]] * len(history), rel=1e-5)
    assert runs.read_config(undisturbed) == config and config.loss.w1 != weights["w1"]

    real, calls = loop.loss_terms, []

    def counted(*arguments):
        calls.append(None)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(loop, "loss_terms", counted)
    with pytest.raises(StoppedError):
        fit(config, device="cpu", progress=False)
    assert checkpoint.load(runs.folder(config))["weights"] == weights
    for change, message in (("loss.w1=2", "loss.w1 cannot change: w1 and w2 were calibrated to target shares with"),
                            ("loss.fa_stride=16", "loss.fa_stride cannot change: w1 and w2 .*: settings of optim$"),
                            ("optim.sisr_warmup=1", "optim.sisr_warmup cannot change in the middle of a run"),
                            ("loss.share_fa=1", "loss.share_fa cannot change in the middle of a run")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            resume(runs.folder(config), [change])
    stopped = fit(config, device="cpu", progress=False)
    pair = [network.read(directory / "final.safetensors")[0] for directory in (undisturbed, stopped)]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])
    assert (undisturbed / "counts_test.npz").read_bytes() == (stopped / "counts_test.npz").read_bytes()


def test_a_term_without_a_gradient_can_have_no_share():
    config = tiny("dsrl", "loss.share_sisr=0.3")
    model = network.build(config)
    torch.nn.init.zeros_(model.sisr.predict.weight)
    with pytest.raises(ValueError, match=r"loss.share_sisr = 0.3, but .* are 0 for mse and .* for ce"):
        calibrate(model, fixed_batch(training_set(load_split("streets", "train"), config), config, CPU), config)


def test_shares_are_part_of_the_runs_that_use_them_alone():
    assert tiny("dsrl", "loss.share_sisr=0.0").run_id == tiny("dsrl").run_id
    assert tiny("dsrl", *SHARES).run_id != tiny("dsrl").run_id
    assert tiny("dsrl", "loss.share_fa=0.1").warm_start == tiny("dsrl").warm_start  # stage 2 has no FA
    assert tiny("dsrl", "loss.share_sisr=0.1").warm_start != tiny("dsrl").warm_start
    with pytest.raises(ValueError, match=r"arm 'sssr' does not use loss\.share_sisr"):
        tiny("sssr", "loss.share_sisr=0.1")
