"""Layers with kernels for training on a CPU: values and gradients are those of PyTorch's layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dsrl_lib.device import autocast
from dsrl_lib.models.cpu_gradients import BatchNormPReLU, DepthwiseConv2d, PReLU


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 3])
def test_depthwise_convolution_matches_the_native_one(stride, dilation):
    torch.manual_seed(0)
    own = DepthwiseConv2d(3, stride, dilation).double()
    native = nn.Conv2d(3, 3, 3, stride, dilation, dilation, 3, bias=False).double()
    native.load_state_dict(own.state_dict())
    assert_same_gradients(own, native, torch.randn(2, 3, 9, 14, dtype=torch.double))


def test_prelu_matches_the_native_one():
    x = torch.randn(2, 3, 5, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0] = 0
    assert_same_gradients(PReLU(3).double(), nn.PReLU(3).double(), x)


@pytest.mark.parametrize("channels", [1, 11, 19])
def test_prelu_of_a_class_map_has_the_bits_of_pytorch(channels):
    torch.manual_seed(0)
    x = torch.randn(2, channels, 31, 29).bfloat16().contiguous(memory_format=torch.channels_last)
    flow = torch.randn_like(x)
    x[0, :, 0], act = 0, PReLU(channels)
    with torch.no_grad():
        act.weight.uniform_(-1, 2)
    x.requires_grad_()
    y, slope = act(x), act.weight.detach().bfloat16()
    assert y.grad_fn.name() == "_PReLUBackward" and torch.equal(y, F.prelu(x, slope))
    grad_x, grad_slope = torch.autograd.grad(y, (x, act.weight), flow)
    wide, above = x.detach().float(), flow.float()
    positive = wide > 0
    assert torch.equal(grad_x, torch.where(positive, above, above * act.weight.detach()[:, None, None]).bfloat16())
    # In blocks of 256 pixels, one after the other in float32, as before there were kernels for a few channels.
    terms = torch.where(positive, 0, wide * above).permute(0, 2, 3, 1).reshape(-1, channels)
    blocks = [block.cumsum(0)[-1].double() for block in terms.split(256)]
    torch.testing.assert_close(grad_slope, sum(blocks).float(), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.double, torch.float, torch.bfloat16])
def test_batch_norm_with_prelu_matches_the_native_layers(dtype):
    torch.manual_seed(0)
    native = nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.PReLU(6))
    own = BatchNormPReLU(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), PReLU(6))
    with torch.no_grad():
        native[1].weight.uniform_(-1, 2)
        native[1].bias.uniform_(-1, 1)
        native[2].weight.uniform_(-0.5, 1)
        native[1].running_mean.uniform_(-9, 9)
    own.load_state_dict(native.state_dict())
    if dtype == torch.double:
        own, native = own.double(), native.double()
    x = 3 + torch.randn(2, 3, 33, 17, dtype=own[0].weight.dtype)
    got = []
    for module in (own, native):
        inputs = x.clone().requires_grad_()
        with autocast(inputs.device, "bf16" if dtype == torch.bfloat16 else "fp32"):
            y = module.train()(inputs)
        y.backward(torch.linspace(-1, 1, y.numel()).view_as(y).to(y.dtype))
        statistics = (module[1].running_mean, module[1].running_var, module[1].num_batches_tracked)
        got.append((y, inputs.grad, *(p.grad for p in module.parameters()), *statistics))
    tolerance = {torch.double: 1e-10, torch.float: 1e-3, torch.bfloat16: 0.05}[dtype]
    for ours, theirs in zip(*got, strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * theirs.abs().max().item())
    assert torch.equal(own.eval()(x), native.load_state_dict(own.state_dict()) and native.eval()(x))


def assert_same_gradients(own, native, x):
    results = []
    for module in (own, native):
        inputs = x.clone().requires_grad_()
        y = module(inputs)
        gradients = torch.autograd.grad(y, (inputs, module.weight), torch.linspace(-1, 1, y.numel()).view_as(y))
        results.append((y, *gradients))
    torch.testing.assert_close(*results)


def test_custom_gradients_follow_autocast():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 9, 12)
    for own, native in (
        (DepthwiseConv2d(8, 2, 2), nn.Conv2d(8, 8, 3, 2, 2, 2, 8, bias=False)),
        (PReLU(8), nn.PReLU(8)),
    ):
        native.load_state_dict(own.state_dict())
        with torch.autocast("cpu", torch.bfloat16):
            pair = [module(x) for module in (own, native)]
        assert pair[0].dtype == pair[1].dtype
        for y in pair:
            y.float().square().sum().backward()
        assert own.weight.grad.dtype == torch.float32
        torch.testing.assert_close(own.weight.grad, native.weight.grad, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("whole", [True, False])
def test_layers_train_in_types_that_no_kernel_knows(half, whole):
    """Whole: the network itself is in half precision; else it computes in it under autocast."""
    torch.manual_seed(0)
    own = nn.Sequential(
        BatchNormPReLU(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), PReLU(6)), DepthwiseConv2d(6, 2), PReLU(6)
    )
    native = nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.PReLU(6), nn.Conv2d(6, 6, 3, 2, 1, 1, 6, bias=False), nn.PReLU(6)
    )
    native.load_state_dict(dict(zip(native.state_dict(), own.state_dict().values(), strict=True)))
    x, gradients = torch.randn(2, 3, 8, 8).to(half if whole else torch.float32), []
    for network in (own, native):
        with torch.autocast("cpu", half, enabled=not whole):
            loss = network.to(half if whole else torch.float32)(x).float().square().sum()
        gradients.append(torch.autograd.grad(loss, list(network.parameters())))
    for (name, _), ours, theirs in zip(native.named_parameters(), *gradients, strict=True):
        assert ours.isfinite().all()
        if name != "0.bias":  # the norm takes it away: its gradient is rounding
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02 * theirs.abs().max().item())
