"""Convolutions in bfloat16 without the instructions for it: the numbers that the instructions give."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dsrl_lib import bfloat16, device


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_rounded_numbers_are_summed_exactly_and_rounded_once(transposed):
    convolve = F.conv_transpose2d if transposed else F.conv2d
    x, weight = random(2, 6, 9, 7), random(6, 6, 3, 3)
    with bfloat16.autocast():
        out = convolve(x, weight, stride=2, padding=1)
    exact = convolve(x.bfloat16().double(), weight.bfloat16().double(), stride=2, padding=1)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, exact.bfloat16(), rtol=2**-7, atol=1e-6)  # one unit in the last place
    assert (out == exact.bfloat16()).float().mean() > 0.99


def test_gradients_pass_through_bfloat16_as_under_the_native_autocast():
    gradients = []
    for context in (bfloat16.autocast(), torch.autocast("cpu", torch.bfloat16)):
        torch.manual_seed(0)
        first, last = nn.Conv2d(3, 8, 3, bias=False), nn.ConvTranspose2d(8, 4, 3)
        network = nn.Sequential(first, nn.BatchNorm2d(8), nn.PReLU(), last)
        with context:
            out = network(random(2, 3, 12, 10))
        assert out.dtype == torch.bfloat16
        out.float().square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for ours, native in zip(*gradients, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, native, rtol=0.03, atol=0.01 * float(native.abs().max()))


def test_float32_inside_autocast_stays_float32():
    x, weight = random(1, 3, 8, 8), random(2, 3, 3, 3)
    with bfloat16.autocast(), torch.autocast("cpu", enabled=False):
        assert torch.equal(F.conv2d(x, weight), F.conv2d(x, weight.clone()))
        assert F.conv2d(x, weight).dtype == torch.float32


@pytest.mark.parametrize("has_instructions", [True, False])
def test_the_device_decides(monkeypatch, has_instructions):
    monkeypatch.setattr(bfloat16, "native", lambda: has_instructions)
    context = device.autocast(torch.device("cpu"), "bf16")
    assert isinstance(context, torch.autocast) == has_instructions
    with context:
        assert F.conv2d(random(1, 3, 8, 8), random(2, 3, 3, 3)).dtype == torch.bfloat16
    assert isinstance(device.autocast(torch.device("cpu"), "fp32"), torch.autocast)
