"""Convolutions in bfloat16 on a CPU that has no instructions for it.

Where oneDNN has no bfloat16 (x86 without AVX-512), PyTorch falls back to loops that take three to ten times as long as
float32. What the instructions compute is simple: products of bfloat16 numbers, summed in float32, and the sum rounded
once. So a float32 convolution of rounded operands gives the same numbers up to the order of the sum, and is fast.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (torch.conv2d, torch.conv_transpose2d)


def native() -> bool:
    """Whether this CPU convolves bfloat16 tensors by itself."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


@contextmanager
def autocast() -> Iterator[None]:
    """`torch.autocast("cpu", torch.bfloat16)`, with convolutions in float32 of operands rounded to bfloat16.

    Gradients are rounded to bfloat16 at the same places as under the autocast of a CPU that has the instructions.
    """
    with torch.autocast("cpu", torch.bfloat16), _Convolutions():
        yield


class _Convolutions(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in CONVOLUTIONS or not torch.is_autocast_enabled("cpu"):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            rounded = {name: _rounded(value) for name, value in kwargs.items()}
            return func(*map(_rounded, args), **rounded).bfloat16()


def _rounded(value: Any) -> Any:
    return value.bfloat16().float() if isinstance(value, Tensor) and value.is_floating_point() else value
