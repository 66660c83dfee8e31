"""The forms of FA that a run can use against their formulas, and the faults that their docstrings state."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_runs import tiny
from two_processes import in_two_processes

from dsrl_lib.config import Loss
from dsrl_lib.losses.criterion import affinity_loss, token_grid
from dsrl_lib.losses.feature_affinity import feature_affinity
from dsrl_lib.losses.feature_affinity_released import affinity_of_dootmaan, affinity_of_sanje2v
from dsrl_lib.paths import root


def positive(*shape, seed=0):
    """What a ReLU leaves."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def all_pairs(a, b, pool):
    """sanje2v: every entry of one matrix of columns with every entry of the other, one channel at a time."""
    total, channels = 0.0, 0
    for one, two in zip(a.flatten(0, 1), b.flatten(0, 1), strict=True):
        entries = []
        for m in (one, two):
            m = F.avg_pool2d(m[None].double(), pool)[0]
            m = m / torch.linalg.svdvals(m)[0]
            entries.append((m.T @ m).flatten())
        total += (entries[0][:, None] - entries[1][None, :]).abs().mean()
        channels += 1
    return total / channels


def summed(a, b, pool):
    """dootmaan: |F_a^T F_a - F_b^T F_b| over all pixels and images, divided by the pairs of one image."""
    x, y = (F.avg_pool2d(m.double(), pool).flatten(2) for m in (a, b))
    return (x.mT @ x - y.mT @ y).abs().sum() / x.shape[2] ** 2


@pytest.mark.parametrize(("ours", "theirs"), [(affinity_of_sanje2v, all_pairs), (affinity_of_dootmaan, summed)])
def test_value_and_gradients_are_those_of_the_released_formula(ours, theirs):
    a, b = positive(2, 3, 17, 24).requires_grad_(), (positive(2, 3, 17, 24, seed=1) - 0.3).requires_grad_()
    value, expected = ours(a, b, pool=4), theirs(a, b, 4)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, direct in zip(torch.autograd.grad(value, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True):
        torch.testing.assert_close(mine, direct, rtol=1e-3, atol=1e-7)
    assert ours(a.bfloat16(), b.bfloat16(), pool=4).dtype == torch.float32


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize(("stride", "grid"), [(8, (4, 8)), (16, (2, 4)), (64, (1, 1))])  # at least one token
def test_the_papers_form_follows_its_settings(normalised, q, stride, grid):
    a, b, size = positive(2, 3, 16, 32), positive(2, 5, 16, 32, seed=1), (32, 64)
    loss = Loss(fa_normalise=normalised, fa_q=q, fa_stride=stride)
    total = 0.0
    for maps in zip(a, b, strict=True):
        x, y = (F.adaptive_avg_pool2d(m.double(), grid).flatten(1).numpy() for m in maps)
        if normalised:
            x, y = (m / np.linalg.norm(m, axis=0) for m in (x, y))
        total += (np.abs(x.T @ x - y.T @ y) ** q).mean() / 2  # of the two images
    assert token_grid(size, loss) == grid
    assert affinity_loss(a, b, size, loss).item() == pytest.approx(total, rel=1e-4, abs=1e-6)


def test_sanje2v_is_as_large_for_equal_as_for_unrelated_maps_and_rewards_flat_ones():
    equal, unrelated = [], []
    for seed in range(20):
        a, b = positive(1, 1, 64, 128, seed=seed), positive(1, 1, 64, 128, seed=100 + seed)
        equal.append(affinity_of_sanje2v(a, a))
        unrelated.append(affinity_of_sanje2v(a, b))
    equal, unrelated = torch.stack(equal), torch.stack(unrelated)
    assert 0.002 < equal.mean() < 0.003 and (equal.mean() / unrelated.mean() - 1).abs() < 0.05
    assert affinity_of_sanje2v(torch.ones(1, 1, 64, 128), 3 * torch.ones(1, 1, 64, 128)) < 1e-7
    assert affinity_of_sanje2v(torch.zeros(1, 1, 64, 128), a).isnan()
    tokens = (8, 16)
    assert feature_affinity(a, a, normalise=False, tokens=tokens) == 0  # the paper's is 0


def test_the_values_on_the_method_page_are_those_of_the_losses():
    """The mean over five draws of uniform random maps, to the two digits of the page."""
    losses = {
        "FA of the paper": lambda a, b: feature_affinity(a, b, tokens=(45, 60)),
        "without normalisation": lambda a, b: feature_affinity(a, b, tokens=(45, 60), normalise=False),
        "sanje2v": affinity_of_sanje2v,
        "dootmaan": lambda a, b: affinity_of_dootmaan(a, b, pool=8),
    }
    draws = [[positive(1, 3, 360, 480, seed=2 * seed + i) for i in (0, 1)] for seed in range(5)]
    page = (root() / "docs/methods/feature_affinity.md").read_text().splitlines()
    for name, loss in losses.items():
        (row,) = (line.split("|")[2:4] for line in page if line.startswith(f"| {name} |"))
        for printed, other in zip(row, (0, 1), strict=True):
            mean = sum(loss(pair[0], pair[other]).item() for pair in draws) / len(draws)
            assert mean == pytest.approx(float(printed), rel=0.03, abs=1e-6)


def test_dootmaan_grows_with_the_batch_and_with_the_scale():
    a, b = positive(1, 3, 64, 64), positive(1, 3, 64, 64, seed=1)
    one = affinity_of_dootmaan(a, b)
    assert affinity_of_dootmaan(a.repeat(4, 1, 1, 1), b.repeat(4, 1, 1, 1)).item() == pytest.approx(4 * one.item())
    assert affinity_of_dootmaan(2 * a, 2 * b).item() == pytest.approx(4 * one.item(), rel=1e-5)
    assert affinity_of_dootmaan(a, a) < 1e-6 * one


@pytest.mark.parametrize("form", ["paper", "sanje2v", "dootmaan"])
def test_the_mean_over_two_processes_is_the_value_of_their_batch(monkeypatch, form):
    a, b, loss = positive(4, 3, 32, 64), positive(4, 3, 32, 64, seed=1), Loss(fa_form=form)
    whole = affinity_loss(a, b, (32, 64), loss)
    _, values, *_ = in_two_processes(monkeypatch, lambda: [affinity_loss(a[i::2], b[i::2], (32, 64), loss)
                                                           for i in range(2)])  # fmt: skip
    assert sum(values).item() / 2 == pytest.approx(whole.item(), rel=1e-5)


def test_other_shapes_are_refused():
    for loss in (affinity_of_sanje2v, affinity_of_dootmaan):
        with pytest.raises(ValueError, match=r"maps must have one shape \(B, C, h, w\), h and w at least pool = 16"):
            loss(torch.zeros(1, 3, 32, 32), torch.zeros(1, 2, 32, 32), pool=16)


def test_a_run_can_use_them():
    for form, loss in (("sanje2v", affinity_of_sanje2v), ("dootmaan", affinity_of_dootmaan)):
        config = tiny(f"released_{form}")
        a, b = positive(2, 3, 32, 64), positive(2, 3, 32, 64, seed=1)
        assert affinity_loss(a, b, (32, 64), config.loss) == loss(a, b, pool=config.loss.fa_stride)
        assert config.warm_start == tiny("dsrl").warm_start
