"""What all hosts share: how they are initialised, and the prediction layer for other classes."""

import pytest
import torch
from torch import nn

from dsrl_lib.models.host import initialise, replaced_classifier


def test_convolutions_start_with_the_variance_of_their_fan_out() -> None:
    torch.manual_seed(0)
    convolution, norm, act = nn.Conv2d(16, 200, 3), nn.BatchNorm2d(2), nn.PReLU(2)
    for tensor in (*norm.parameters(), norm.running_mean, act.weight):
        nn.init.constant_(tensor, 7)
    initialise(nn.Sequential(convolution, norm, act))
    assert convolution.weight.std().item() == pytest.approx((2 / (200 * 9)) ** 0.5, rel=0.03)
    assert convolution.bias.abs().max() == 0 and act.weight.tolist() == [0.25, 0.25]
    assert (norm.weight.tolist(), norm.bias.tolist(), norm.running_mean.tolist()) == ([1, 1], [0, 0], [0, 0])


def test_a_class_without_a_published_row_starts_afresh() -> None:
    layer = nn.Conv2d(3, 19, 1)
    new = replaced_classifier(layer, 3, (None, 0, 6))
    assert torch.equal(new.weight[1:], layer.weight[[0, 6]]) and torch.equal(new.bias[1:], layer.bias[[0, 6]])
    assert new.bias[0] == 0 and not (new.weight[0] == layer.weight).flatten(1).all(1).any()
    assert (replaced_classifier(layer, 2, (None, None)).bias == 0).all()
    with pytest.raises(ValueError, match="need 2 indices from 0 to 18"):
        replaced_classifier(layer, 2, (None, 19))


@pytest.mark.parametrize("rows", [None, (1, None)])
def test_a_network_that_was_moved_keeps_its_type_and_place(rows: tuple[int | None, ...] | None) -> None:
    double = replaced_classifier(nn.Conv2d(3, 4, 1).double(), 2, rows)
    assert double(torch.ones(1, 3, 1, 1, dtype=torch.double)).dtype == torch.double
    assert replaced_classifier(nn.Conv2d(3, 4, 1).to("meta"), 2, rows).weight.is_meta
