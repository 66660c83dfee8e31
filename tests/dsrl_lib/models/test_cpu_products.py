"""Convolutions as matrix products: values, gradients and names are those of PyTorch's layers."""

import copy

import pytest
import torch
from torch import nn

from dsrl_lib.models.cpu_products import DilatedConv2d, PointwiseConv2d, train_faster
from dsrl_lib.models.hosts.deeplabv3plus import DeepLabV3Plus


def value_and_gradients(layer, x, flow):
    x = x.clone().requires_grad_()
    y = layer(x)
    return [y.detach(), *torch.autograd.grad(y, (x, layer.weight), flow)]


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("kernel", "dilation", "kind"),
    [
        (1, 1, PointwiseConv2d),
        (3, 4, DilatedConv2d),
        (3, 6, DilatedConv2d),  # on a map of 6 x 9, no row but the middle one sees anything
        (3, 18, DilatedConv2d),  # one tap is left
    ],
)
def test_values_and_gradients_are_those_of_pytorch(kernel, dilation, kind, memory):
    torch.manual_seed(0)
    theirs = nn.Conv2d(5, 7, kernel, 1, dilation * (kernel // 2), dilation, bias=False).to(memory_format=memory)
    own = copy.deepcopy(theirs)
    train_faster(own)
    assert type(own) is kind and list(own.state_dict()) == ["weight"]
    x, flow = torch.randn(2, 5, 6, 9).contiguous(memory_format=memory), torch.randn(2, 7, 6, 9)
    exact = value_and_gradients(theirs.double(), x.double(), flow.double())
    for value, expected in zip(value_and_gradients(own, x, flow), exact, strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)


def test_what_they_cannot_do_is_left_alone():
    kept = [
        nn.Conv2d(4, 4, 3, padding=4, dilation=4),  # bias
        nn.Conv2d(4, 4, 3, padding=4, dilation=4, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, stride=2, padding=4, dilation=4, bias=False),
        nn.Conv2d(4, 4, 3, dilation=4, bias=False),  # no padding
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, bias=False),
        nn.Conv2d(4, 4, 1, stride=2, bias=False),
    ]
    train_faster(nn.Sequential(*kept))
    assert all(type(layer) is nn.Conv2d for layer in kept)
    layer, x = nn.Conv2d(4, 4, 3, padding=4, dilation=4, bias=False), torch.randn(1, 4, 9, 9)
    train_faster(layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).grad_fn.name() == "ConvolutionBackward0"
    with torch.no_grad():
        assert layer(x).grad_fn is None


def test_deeplab_has_them():
    kinds = [type(layer) for layer in DeepLabV3Plus("resnet18", 3).modules()]
    assert kinds.count(DilatedConv2d) == 3  # ASPP
    assert kinds.count(PointwiseConv2d) == 5  # two branches, the projection, the low map, a shortcut of the backbone
