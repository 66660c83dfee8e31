"""What a step draws: by seed, step and process alone, and none of it from the generator of the caller."""

import torch
from tiny_runs import tiny

from dsrl_lib import distributed
from dsrl_lib.data.split import load_split
from dsrl_lib.training import loop
from dsrl_lib.training.random_state import seeded, step_seed
from dsrl_lib.training.state import RunState

CPU = torch.device("cpu")


def drawn(seed: int, step: int) -> list[float]:
    with seeded(step_seed(seed, step), CPU):
        return torch.rand(4).tolist()


def test_draws_differ_by_seed_step_and_process_and_repeat(monkeypatch):
    found = [drawn(seed, step) for seed in (0, 1) for step in (0, 1)]
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    found += [drawn(seed, step) for seed in (0, 1) for step in (0, 1)]
    assert len(set(map(tuple, found))) == 8
    assert found[4:] == [drawn(seed, step) for seed in (0, 1) for step in (0, 1)]


def test_the_generator_of_the_caller_goes_on_as_if_nothing_was_drawn():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    drawn(0, 0)
    assert torch.equal(torch.rand(2), expected)


def test_a_stage_goes_on_with_the_draws_where_the_one_before_ended(monkeypatch):
    config, drawn_from = tiny("sssr"), []
    state = RunState(config, load_split("streets", "train"), CPU)
    state.epochs_before, state.step = 2, 1
    monkeypatch.setattr(loop, "loss_terms", lambda *_: {"ce": torch.zeros((), requires_grad=True)})
    monkeypatch.setattr(loop, "seeded", lambda seed, device: drawn_from.append(seed) or seeded(seed, device))
    loop.train_step(state, {})
    assert drawn_from == [step_seed(config.seed, 2 * state.epoch_steps + 1)]
