"""One training step: what it takes, reads and changes."""

import copy

import numpy as np
import pytest
import torch
from tiny_runs import tiny
from torch.utils._python_dispatch import TorchDispatchMode

import dsrl_lib.training.loop as training
from dsrl_lib import network
from dsrl_lib.config import Config
from dsrl_lib.data.split import load_split
from dsrl_lib.losses import criterion as criterion_file
from dsrl_lib.losses.class_weights import frequency_weights
from dsrl_lib.training.batches import batches
from dsrl_lib.training.loop import NonFiniteLossError
from dsrl_lib.training.targets import noise_image


def test_noise_targets_are_fixed_per_sample():
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


def test_class_weights_follow_the_share_of_pixels(monkeypatch):
    weights = frequency_weights(np.array([5, 1]))
    torch.testing.assert_close(weights, torch.tensor([1 / np.log(1.02 + 5 / 6), 1 / np.log(1.02 + 1 / 6)]).float())
    with pytest.raises(ValueError, match="all pixels of the training labels are void"):
        frequency_weights(np.array([0, 0]))
    train, cpu = load_split("streets", "train"), torch.device("cpu")
    weighted = training.RunState(tiny("lr", "loss.class_weights=frequency"), train, cpu)
    pixels = np.array([(train.labels == c).sum() for c in range(weighted.network.host.classes)])
    assert torch.equal(weighted.class_weights, frequency_weights(pixels))
    monkeypatch.setattr(np, "bincount", None)  # a resumed run does not count again
    assert torch.equal(training.RunState(weighted.config, train, cpu).class_weights, weighted.class_weights)
    assert training.RunState(tiny("lr"), train, cpu).class_weights is None


@pytest.mark.parametrize("arm", ["lr", "dsrl"])
def test_a_step_reads_the_device_once_after_backward_and_touches_no_file(results, monkeypatch, arm):
    """On a GPU every read waits for the device: here any read of a value is counted, with what was queued before it."""
    state = training.RunState(tiny(arm), load_split("streets", "train"), torch.device("cpu"))
    steps = range(3)
    events, opened = [], []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, noted(events, name, getattr(torch.Tensor, name)))
    monkeypatch.setattr(torch.Tensor, "backward", noted(events, "backward", torch.Tensor.backward))
    monkeypatch.setattr(torch.optim.AdamW, "step", noted(events, "step", torch.optim.AdamW.step))
    given = list(batches(state.samples, state.config, steps, 0, state.device, 0))
    training.train_step(state, given.pop())  # the first one reads compiled kernels from their files
    monkeypatch.setattr("builtins.open", lambda *names, **_: opened.append(names))
    for batch in given:
        events.clear()
        with CountReads() as reads:
            terms, asked = training.train_step(state, batch, lambda: (False, True))
        assert events == ["backward", "tolist", "step"] and reads.number == 0  # tolist reads all values together
        assert terms["loss"] == pytest.approx(sum(terms.values()) - terms["loss"]) and asked == [False, True]
    assert state.step == 3 and not opened and not results.exists()


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


def after_steps(config: Config, number: int) -> tuple[training.RunState, list[dict[str, float]]]:
    """A new run after so many steps, and the terms of each."""
    state = training.RunState(config, load_split("streets", "train"), torch.device("cpu"))
    given = batches(state.samples, config, range(number), 0, state.device, 0)
    return state, [training.train_step(state, batch)[0] for batch in given]


@pytest.mark.parametrize("loss", ["focal", "ohem"])
def test_other_losses_train(loss):
    config = tiny("sssr", f"loss.segmentation={loss}")
    start = network.build(config).state_dict()
    state, terms = after_steps(config, 2)
    assert all(np.isfinite(step["ce"]) for step in terms)
    assert any(not torch.equal(value, start[name]) for name, value in state.network.named_parameters())


def test_frozen_batch_norms_stay_as_they_start():
    config = tiny("sssr", "model.frozen_bn=true")
    start = {k: v for k, v in network.build(config).state_dict().items() if ".bn." in k}
    end = after_steps(config, 2)[0].network.state_dict()
    assert start and all(torch.equal(value, end[name]) for name, value in start.items())


def test_a_step_after_a_validation_is_in_training_mode_again():
    state, _ = after_steps(tiny("sssr", "model.frozen_bn=true"), 1)
    before = {name: module.training for name, module in state.network.named_modules()}
    assert set(before.values()) == {True, False}  # batch norms are frozen
    state.network.eval()
    given = batches(state.samples, state.config, range(1, 2), 0, state.device, 0)
    training.train_step(state, next(given))
    assert {name: module.training for name, module in state.network.named_modules()} == before


def test_a_non_finite_loss_changes_neither_weights_nor_optimiser(monkeypatch):
    state = training.RunState(tiny("lr"), load_split("streets", "train"), torch.device("cpu"))
    two = list(batches(state.samples, state.config, range(2), 0, state.device, 0))
    training.train_step(state, two[0])
    before = copy.deepcopy([dict(state.network.named_parameters()), state.optimizer.state_dict()["state"]])
    real = training.loss_terms
    monkeypatch.setattr(training, "loss_terms", lambda *given: {"ce": real(*given)["ce"] * float("inf")})
    with pytest.raises(NonFiniteLossError, match="non-finite loss at step 1: ce = inf"):
        training.train_step(state, two[1])
    after = [dict(state.network.named_parameters()), state.optimizer.state_dict()["state"]]
    assert state.step == 1
    torch.testing.assert_close(after, before, rtol=0, atol=0)
