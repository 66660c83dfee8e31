"""Two layers of ESPNetv2 whose gradients PyTorch computes slowly on a CPU, here from faster kernels.

Values, parameters and state-dict names are those of the parent classes, which work on other devices.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp import custom_bwd, custom_fwd
from torch.autograd.function import FunctionCtx, once_differentiable


class PReLU(nn.PReLU):
    """`nn.PReLU` with vectorised gradients: about four times as fast backwards."""

    def forward(self, x: Tensor) -> Tensor:
        return _PReLU.apply(x, self.weight) if x.is_cpu else super().forward(x)


class _PReLU(torch.autograd.Function):
    @staticmethod
    @custom_fwd(device_type="cpu")
    def forward(ctx: FunctionCtx, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope.to(x.dtype))

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        positive = torch.ops.aten.threshold_backward(grad, x, 0)  # zero where x <= 0
        negative = grad - positive
        grad_x = torch.addcmul(positive, negative, slope.to(grad.dtype)[:, None, None])
        return grad_x, (negative * x).sum((0, 2, 3), dtype=slope.dtype)


class DepthwiseConv2d(nn.Conv2d):
    """3x3 depth-wise convolution without bias whose gradients stay fast with strides and dilations.

    The native ones fall back to a reference kernel there, ten to forty times slower than the forward pass.
    """

    def __init__(self, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(channels, channels, 3, stride, dilation, dilation, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_cpu or self.stride == self.dilation == (1, 1):
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
        x, weight = ctx.saved_tensors
        s, d = ctx.stride, ctx.dilation
        height, width = grad.shape[2:]
        spread = grad
        if s > 1:  # put the gradient back where the strided output was taken
            spread = torch.zeros_like(x, dtype=grad.dtype)
            spread[:, :, ::s, ::s] = grad
        grad_x = F.conv2d(spread, weight.flip(2, 3), None, 1, d, d, len(weight))
        padded = F.pad(x, (d, d, d, d))
        grad_weight = [
            (padded[:, :, i : i + s * height : s, j : j + s * width : s][:, :, :height, :width] * grad).sum(
                (0, 2, 3), dtype=weight.dtype
            )
            for i in (0, d, 2 * d)
            for j in (0, d, 2 * d)
        ]
        return grad_x.to(x.dtype), torch.stack(grad_weight, 1).view_as(weight), None, None
