"""What all hosts share: the prediction layer for other classes."""

import pytest
import torch
from torch import nn

from dsrl_lib.models.host import replaced_classifier


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
