"""Batch norm over the samples of all processes (Peng et al., "MegDet", CVPR 2018, Sec. 3.2).

PyTorch's own works only on GPUs; this one also works on the CPU, where it is tested.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from dsrl_lib import distributed


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, with the mean and variance of all processes in training. In one process it is the same."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or distributed.size() == 1:
            return super().forward(x)
        values = x.to(self.weight.dtype)  # (B, C, h, w)
        count = _sum_over_processes(values.new_full((), x.numel() / x.shape[1]))
        mean = _sum_over_processes(values.sum((0, 2, 3))) / count  # (C,)
        centred = values - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count  # (C,)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def synchronise(network: nn.Module) -> None:
    """Make every batch norm of a network one over all processes, in place. ValueError for kinds that cannot be."""
    for name, module in network.named_modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm2d  # same parameters, same names
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ValueError(f"model.sync_bn = true: {name} is a {type(module).__name__}, which has no such form")


def _sum_over_processes(x: Tensor) -> Tensor:
    return _Sum.apply(x)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total
