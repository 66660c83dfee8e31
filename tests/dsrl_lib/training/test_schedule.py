"""Learning rates over all stages, by formula and by hand."""

import dataclasses

import pandas as pd
import pytest
import torch
from tiny_runs import tiny

from dsrl_lib import network
from dsrl_lib.training.schedule import decay, learning_rate, make_optimizer
from study.presets import preset
from study.train import train_with_parents


def test_the_schedule_is_polynomial_over_all_stages(trained):
    history = pd.read_csv(trained(tiny("lr")) / "history.csv")
    steps = 3 * 64 // 16  # the arm's three epochs of 64 images in batches of 16
    assert history["step"].iloc[-1] == steps
    for step, rate in zip(history["step"], history["lr"], strict=True):
        assert rate == pytest.approx(4e-3 * (1 - (step - 1) / steps) ** 0.9, rel=1e-4)
    last = preset("smoke", "dsrl", overrides=["optim.epochs=2", "optim.lr=0.002"])
    rates = [learning_rate(last, step, 10, epochs_before=4) for step in (0, 10, 19)]
    assert rates == pytest.approx([2e-3 * part**0.9 for part in (1 / 3, 1 / 6, 1 / 60)])


def test_other_schedules_by_hand():
    cosine, step = (tiny("lr", f"optim.schedule={name}") for name in ("cosine", "step"))
    assert [decay(done, cosine) for done in (0, 0.5)] == pytest.approx([1, 0.5])
    assert [decay(done, step) for done in (0, 0.32, 0.34, 0.67, 0.99)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_lr_restarts_where_label_relaxation_ends():
    """`scl-poly` of Zhu et al.: (1 - e / E)^power before epoch T, then (1 - (e - T) / (E - T))^1.5."""
    settings = ("loss.segmentation=relaxed", "loss.relax_epochs=2", "optim.schedule=poly_restart", "optim.power=1")
    config = tiny("sssr", *settings, "optim.schedule_epochs=5", "optim.epochs=5", "optim.lr=1")
    rates = [learning_rate(config, step, 2, 0) for step in range(10)]
    assert rates[:4] == pytest.approx([1, 0.9, 0.8, 0.7])
    assert rates[4:] == pytest.approx([(1 - k / 6) ** 1.5 for k in range(6)])


def test_lr_may_restart_from_another_height():
    """`--rescale` of Zhu et al."""
    settings = ("loss.segmentation=relaxed", "loss.relax_epochs=2", "optim.schedule=poly_restart")
    config = tiny("sssr", *settings, "optim.restart_factor=0.1", "optim.schedule_epochs=5", "optim.lr=2")
    assert learning_rate(config, 3, 2, 0) == pytest.approx(2 * (1 - 3 / 10) ** 0.9)
    assert [learning_rate(config, step, 2, 0) for step in (4, 7)] == pytest.approx([0.2, 0.2 * 0.5**1.5])


def test_lr_falls_to_its_end_by_hand():
    config = tiny("sssr", "optim.lr=0.01", "optim.lr_end=0.001", "optim.power=1", "optim.schedule_epochs=1")
    rates = [learning_rate(config, step, 4, 0) for step in range(4)]
    assert rates == pytest.approx([0.01, 0.00775, 0.0055, 0.00325])
    plain = tiny("sssr", "optim.lr=0.0017")  # the default end changes no bit
    assert all(learning_rate(plain, s, 64, 0) == 0.0017 * decay(s / (64 * 3), plain) for s in range(64))


OPTIMISERS = [
    (("optimizer=sgd", "momentum=0.8"), torch.optim.SGD, {"momentum": 0.8}),
    (("optimizer=sgd", "nesterov=true"), torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (("optimizer=adam",), torch.optim.Adam, {}),
    (("optimizer=adam", "amsgrad=true"), torch.optim.Adam, {"amsgrad": True}),
    (("optimizer=adamw", "amsgrad=true"), torch.optim.AdamW, {"amsgrad": True}),
]


@pytest.mark.parametrize(("settings", "kind", "options"), OPTIMISERS)
def test_an_optimiser_steps_as_torch_does_with_these_options(settings, kind, options):
    config = tiny("sssr", "optim.lr=0.1", "optim.weight_decay=0.01", *(f"optim.{setting}" for setting in settings))
    models = [torch.nn.Linear(3, 2, bias=False) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    ours = make_optimizer(models[0], config)
    theirs = kind(models[1].parameters(), lr=0.1, weight_decay=0.01, **options)
    for step in range(4):  # gradients that grow and shrink: AMSGrad and Nesterov differ from their plain forms
        for model, optimizer in zip(models, (ours, theirs), strict=True):
            model.weight.grad = torch.full((2, 3), (1.0, 5.0, -0.1, 0.2)[step])
            optimizer.step()
    torch.testing.assert_close(models[0].weight, models[1].weight)


def test_kernels_decay_and_biases_norms_and_slopes_do_not():
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3), torch.nn.PReLU(3))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = make_optimizer(model, tiny("sssr", "optim.optimizer=sgd", "optim.lr=0.1", "optim.weight_decay=0.5"))
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] * (0.95 if name == "0.weight" else 1))


def test_a_schedule_that_ends_too_early_is_explained(results):
    with pytest.raises(ValueError, match=r"optim\.schedule_epochs = 2, but arm 'sssr_long' ends after 3 epochs"):
        train_with_parents(tiny("sssr_long", "optim.schedule_epochs=2"), progress=False)


def test_a_schedule_that_ends_too_early_shows_before_any_stage_is_trained(results):
    with pytest.raises(ValueError, match=r"optim\.schedule_epochs = 2, but arm 'dsrl' ends after 3 epochs"):
        train_with_parents(tiny("dsrl", "optim.schedule_epochs=2"), progress=False)
    assert not results.exists()


def test_stages_are_one_long_run_cut_in_pieces(trained):
    """A run of three stages is bit-equal to a chain of runs: same samples, learning rates, fresh optimisers."""
    chain = tiny("sssr_long")  # a stage, then two more from its weights
    alone = dataclasses.replace(chain, arm="sssr_random", warm_start=None,
                                optim=dataclasses.replace(chain.optim, epochs=3))  # fmt: skip
    directories = [trained(config) for config in (chain, alone)]
    pair = [network.read(directory / "final.safetensors")[0] for directory in directories]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[1])


def test_a_schedule_that_ends_too_early_is_no_plan():
    """So a sweep says it before its first value is trained."""
    with pytest.raises(ValueError, match=r"optim\.schedule_epochs = 2, but arm 'dsrl' ends after 3 epochs"):
        tiny("dsrl", "optim.schedule_epochs=2")
