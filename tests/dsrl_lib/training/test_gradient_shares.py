"""Gradient shares: by hand on a toy network, by a plain backward pass on a real one, and without a trace in a run."""

import copy

import pandas as pd
import pytest
import torch
from tiny_runs import TINY, tiny
from torch import nn

import dsrl_lib.training.loop as loop
from dsrl_lib import network, runs
from dsrl_lib.data.split import load_split
from dsrl_lib.records import read_json
from dsrl_lib.training.batches import training_set
from dsrl_lib.training.fit import fit
from dsrl_lib.training.gradient_shares import encoder_norms, fixed_batch, gradient_norms, gradient_shares
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.state import RunState
from study.__main__ import app
from study.shares import shares_table

CPU = torch.device("cpu")


def test_norms_on_a_toy_network_by_two_backward_passes():
    torch.manual_seed(0)
    encoder, decoder, other = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 5)
    x = torch.randn(6, 3)
    parts = nn.ModuleList([encoder, decoder, other])

    def terms():
        features = encoder(x).tanh()
        return {"one": 3 * decoder(features).square().mean(), "two": 0.1 * other(features).abs().sum()}

    expected = {}
    for name in ("one", "two"):
        parts.zero_grad()
        terms()[name].backward()  # the encoder is all that both reach
        expected[name] = sum(p.grad.square().sum() for p in encoder.parameters()).sqrt().item()
    parts.zero_grad()
    found = encoder_norms(terms(), parts.parameters())
    assert found == pytest.approx(expected, rel=1e-6)
    assert all(p.grad is None or not p.grad.any() for p in parts.parameters())
    total = sum(expected.values())
    assert gradient_shares(found) == pytest.approx({name: norm / total for name, norm in expected.items()})


def test_a_term_without_a_shared_parameter_or_a_gradient_has_no_share():
    one, two = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    assert encoder_norms({"a": one.sum(), "b": two.sum()}, [one, two]) == {"a": 0, "b": 0}
    assert gradient_shares({"a": 0.0, "b": 0.0}) == {"a": 0, "b": 0}


def test_the_shared_encoder_of_espnetv2_is_its_four_levels():
    config = tiny("dsrl", "loss.w2=0.3")
    split = load_split("streets", "train")
    model, batch = network.build(config), fixed_batch(training_set(split, config), config, CPU)
    found = gradient_norms(model, batch, config)
    twin = copy.deepcopy(model).train()
    # FA of untrained maps enlarges what float32 rounds.
    for name, tolerance in {"ce": 1e-4, "mse": 1e-4, "fa": 1e-2}.items():
        twin.zero_grad()
        loss_terms(twin, batch, config)[name].backward()
        expected = sum(p.grad.square().sum() for p in twin.host.base_net.parameters() if p.grad is not None).sqrt()
        assert found[name] == pytest.approx(expected.item(), rel=tolerance)


@pytest.mark.parametrize("host", ["espnetv2_s0.5", "deeplabv3plus_resnet18"])  # one of them draws dropout
def test_measuring_changes_nothing(host):
    config = tiny("dsrl", f"model.host={host}", "model.frozen_bn=true")
    model = network.build(config)
    batch = fixed_batch(training_set(load_split("streets", "train"), config), config, CPU)
    model.host.eval()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    modes = [module.training for module in model.modules()]
    first, again = gradient_norms(model, batch, config), gradient_norms(model, batch, config)
    assert first == again and min(first.values()) > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())


def test_a_run_of_several_terms_records_its_shares_and_trains_with_the_same_bits(trained, results, monkeypatch):
    config = tiny("dsrl_joint")
    measured = trained(config)
    history = pd.read_csv(measured / "history.csv")
    names = ["ce", "mse", "fa"]
    assert (history[[f"share_{name}" for name in names]].sum(axis=1) - 1).abs().max() < 1e-5
    assert (history[[f"gradient_{name}" for name in names]] > 0).all(axis=None) and "share_aux" not in history
    start = read_json(measured / "env.json")["gradients_at_start"]
    assert start.keys() == {f"{kind}_{name}" for kind in ("gradient", "share") for name in names}
    batch = fixed_batch(training_set(load_split("streets", "train"), config), config, CPU)
    assert start["gradient_mse"] == pytest.approx(gradient_norms(network.build(config), batch, config)["mse"])

    monkeypatch.setattr(loop, "measure_gradients", lambda *_: {})
    plain = fit(config, device="cpu", progress=False)
    pair = [network.read(directory / "final.safetensors")[0] for directory in (measured, plain)]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])
    assert "share_ce" not in pd.read_csv(plain / "history.csv")


def test_a_run_of_one_term_has_the_columns_of_old(trained):
    directory = trained(tiny("sssr"))
    head = (directory / "history.csv").read_text().splitlines()[0]
    assert head == "epoch,step,lr,loss,ce,aux,mse,fa,images_per_s,val_miou,val_psnr"
    assert "gradients_at_start" not in read_json(directory / "env.json")


def test_the_command_prints_the_start_of_any_arm_and_the_end_of_a_trained_one(trained, results, monkeypatch, capsys):
    config = tiny("sssr_sisr")
    with pytest.raises(FileNotFoundError, match="train that one first"):
        shares_table(config, "cpu")
    monkeypatch.setenv("DSRL_RESULTS", str(trained(config).parents[2]))
    table = shares_table(config, "cpu")
    assert table["at"].tolist() == ["start"] * 2 + ["end"] * 2 and table["term"].tolist() == ["ce", "mse"] * 2
    last = pd.read_csv(runs.folder(config) / "history.csv").iloc[-1]
    end = table[table["at"] == "end"].set_index("term")
    assert end.loc["mse", "share"] == pytest.approx(last["share_mse"], rel=1e-3)
    monkeypatch.setenv("DSRL_RESULTS", str(results))  # of an arm that is not trained there
    settings = [word for item in TINY for word in ("--set", item)]
    app.cli(args=["shares", "--arm", "dsrl_joint", "--device", "cpu", *settings], prog="study")
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_state_starts_without_measurements():
    assert RunState(tiny("sssr"), load_split("streets", "train"), CPU).gradients_at_start == {}
