"""Layers of ESPNetv2 that PyTorch trains slowly on a CPU, here from fused kernels.

Values, parameters and state-dict names are those of the parent classes, which work on other devices, and in float16 or
with parameters in half precision.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp import custom_bwd, custom_fwd
from torch.autograd.function import FunctionCtx, once_differentiable


def _has_kernel(x: Tensor, parameter: Tensor) -> bool:
    """Whether a layer trains with a kernel: on a CPU, in types that numba or `cpu_kernels` knows."""
    known = x.dtype != torch.float16 and parameter.dtype in (torch.float32, torch.float64)
    return known and x.is_cpu and torch.is_grad_enabled()


class PReLU(nn.PReLU):
    """`nn.PReLU` with a backward pass that is about ten times as fast."""

    def forward(self, x: Tensor) -> Tensor:
        return _PReLU.apply(x, self.weight) if _has_kernel(x, self.weight) else super().forward(x)


class _PReLU(torch.autograd.Function):
    @staticmethod
    @custom_fwd(device_type="cpu")
    def forward(ctx: FunctionCtx, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        if x.dtype == torch.bfloat16 and x.is_contiguous(memory_format=torch.channels_last):
            return _prelu(x, slope)
        return F.prelu(x, slope.to(x.dtype))

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        from dsrl_lib.models import cpu_kernels as kernels  # lazy: numba is for training alone

        x, slope = ctx.saved_tensors
        channels, values = len(slope), slope.detach().numpy()
        grad_x, rows = kernels.empty_like(x)
        grad_slope = np.zeros(channels)
        flat = [array.reshape(-1, channels) for array in (kernels.pixels(x), kernels.pixels(grad), rows)]  # (P, C)
        # Products of two bfloat16 numbers are exact in float32: there both kernels have the same sums.
        if channels < kernels.LANES and x.dtype == grad.dtype == torch.bfloat16:
            x_, grad_, out = (array.reshape(-1) for array in flat)
            repeated = np.tile(values, kernels.BLOCK)
            kernels.prelu_backward_few(x_, grad_, repeated, channels, out, grad_slope)
        else:
            kernels.prelu_backward(*flat[:2], values, flat[2], grad_slope)
        return grad_x, torch.from_numpy(grad_slope).to(slope)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    """x: bfloat16, (B, C, h, w), channels_last. slope: (C,)."""
    from dsrl_lib.models import cpu_kernels as kernels  # lazy: numba is for training alone

    # PyTorch gives the same bits, but takes three times as long for a class map, whose channels fill no vectors.
    if len(slope) % kernels.LANES == 0:
        return F.prelu(x, slope.to(x.dtype))
    y, rows = kernels.empty_like(x)
    repeated = np.tile(slope.detach().bfloat16().float().numpy(), kernels.LANES)
    kernels.prelu(kernels.pixels(x).reshape(-1), repeated, rows.reshape(-1))
    return y


class BatchNormPReLU(nn.Sequential):
    """Layers that end with batch norm and PReLU: those two train in four passes over the map instead of a dozen.

    The map between them is never rounded to bfloat16, as it is without fusing.
    """

    def forward(self, x: Tensor) -> Tensor:
        *before, norm, act = self
        for layer in before:
            x = layer(x)
        if norm.training and type(norm) is nn.BatchNorm2d and _has_kernel(x, norm.weight):
            norm.num_batches_tracked.add_(1)
            return _BatchNormPReLU.apply(x, norm.weight, norm.bias, act.weight, norm)
        return act(norm(x))


class _BatchNormPReLU(torch.autograd.Function):
    @staticmethod
    @custom_fwd(device_type="cpu")
    def forward(
        ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor, norm: nn.BatchNorm2d
    ) -> Tensor:
        from dsrl_lib.models.cpu_kernels import (  # lazy: numba is for training alone
            empty_like,
            moments,
            pixels,
            scaled_prelu,
        )

        channels = len(weight)
        rows = pixels(x).reshape(-1, channels)  # (P, C)
        near = norm.running_mean.numpy()  # sums of what is near zero lose no digits
        first, second = np.zeros(channels), np.zeros(channels)
        moments(rows, near, first, second)
        first, second = first / len(rows), second / len(rows)
        variance = np.maximum(second - first**2, 0)
        mean, inverse = near + first, 1 / np.sqrt(variance + norm.eps)
        unbiased = variance * len(rows) / max(len(rows) - 1, 1)
        scale = weight.detach().numpy() * inverse
        ctx.arrays = tuple(
            array.astype(near.dtype) for array in (scale, bias.detach().numpy() - mean * scale, mean, inverse)
        )
        y, out = empty_like(x)
        scaled_prelu(rows, *ctx.arrays[:2], slope.detach().numpy(), out.reshape(-1, channels))
        for running, value in ((norm.running_mean, mean), (norm.running_var, unbiased)):
            running.lerp_(torch.from_numpy(value).to(running), norm.momentum)
        ctx.save_for_backward(x, slope)
        return y

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        from dsrl_lib.models.cpu_kernels import empty_like, pixels, scaled_prelu_backward, scaled_prelu_sums

        x, slope = ctx.saved_tensors
        scale, shift, mean, inverse = ctx.arrays
        channels = len(slope)
        grad_x, out = empty_like(x)
        rows, flow, out = (array.reshape(-1, channels) for array in (pixels(x), pixels(grad), out))  # (P, C)
        sums = np.zeros((3, channels))
        scaled_prelu_sums(rows, flow, scale, shift, slope.detach().numpy(), mean, sums)
        grad_bias, grad_weight, grad_slope = sums[0], sums[1] * inverse, sums[2]
        constant = (scale * grad_bias / len(rows)).astype(scale.dtype)
        linear = (scale * inverse * grad_weight / len(rows)).astype(scale.dtype)
        scaled_prelu_backward(rows, flow, scale, shift, slope.detach().numpy(), mean, constant, linear, out)
        return grad_x, *(torch.from_numpy(g).to(slope) for g in (grad_weight, grad_bias, grad_slope)), None


class DepthwiseConv2d(nn.Conv2d):
    """3x3 depth-wise convolution without bias whose gradients stay fast with strides and dilations.

    The native ones fall back to a reference kernel there, ten to forty times slower than the forward pass.
    """

    def __init__(self, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(channels, channels, 3, stride, dilation, dilation, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == self.dilation == (1, 1) or not _has_kernel(x, self.weight):
            return super().forward(x)
        return _DepthwiseConv2d.apply(x, self.weight, self.stride[0], self.dilation[0])


class _DepthwiseConv2d(torch.autograd.Function):
    @staticmethod
    @custom_fwd(device_type="cpu")
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.dilation = stride, dilation
        return F.conv2d(x, weight, None, stride, dilation, dilation, len(weight))

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        from dsrl_lib.models.cpu_kernels import depthwise_backward, empty_like, pixels

        x, weight = ctx.saved_tensors
        kernel = weight.detach().permute(2, 3, 1, 0).flatten(2).contiguous()  # (3, 3, C)
        grad_x, rows = empty_like(x)
        grad_kernel = np.zeros(kernel.shape)
        depthwise_backward(pixels(x), pixels(grad), kernel.numpy(), ctx.stride, ctx.dilation, rows, grad_kernel)
        grad_weight = torch.from_numpy(grad_kernel).permute(2, 0, 1)[:, None]  # (C, 1, 3, 3)
        return grad_x, grad_weight.to(weight), None, None
