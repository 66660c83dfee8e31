"""The auxiliary network: its size, where it starts, and that it learns."""

import pytest
import torch
from downsampling_cases import random

from dsrl_lib.evaluation.cost import macs
from dsrl_lib.losses.location_loss import location_loss
from dsrl_lib.models.downsampling.auxiliary import LocationNetwork
from dsrl_lib.models.downsampling.locations import (
    solve_locations,
    uniform_locations,
)


def test_the_auxiliary_network_is_small():
    assert 1e6 <= macs(LocationNetwork().eval(), torch.zeros(1, 3, 64, 64)) <= 3e6


@pytest.mark.parametrize("grid", [(8, 8), (4, 6)])
def test_training_starts_at_the_uniform_grid_for_any_image(grid):
    locations = LocationNetwork(grid)(random(2, 3, 50, 90, dtype=torch.float32))
    assert torch.equal(locations, uniform_locations(grid).expand(2, -1, -1, -1))


def test_the_auxiliary_network_learns_locations():
    torch.manual_seed(0)
    images, solved = torch.randn(4, 3, 64, 64), solve_locations(random(4, 8, 8, 2, dtype=torch.float32), 1.0)
    network = LocationNetwork()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = location_loss(network(images), solved)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx((solved - uniform_locations((8, 8))).square().mean().item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())
