"""Batch norm with PReLU, and gradients of PReLU and of the depth-wise convolution, in few passes on the CPU.

Compiled at first use.

Maps are (N, H, W, C) in memory, as channels_last keeps them, so the innermost loop runs over channels and becomes
vector instructions. bfloat16, which numba does not know, is read and written as its bits (uint16). Sums over pixels
are float32 within a block of rows and float64 across blocks, in one order: a repeated call gives the same bits.
"""

from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import overload
from torch import Tensor

from dsrl_lib.compiled import SUMS, compiled

BLOCK = 256  # pixels or so that are summed in float32
LANES = 16  # float32 numbers in the widest vector


def pixels(x: Tensor) -> np.ndarray:
    """(N, C, H, W) -> the same memory as (N, H, W, C); a copy if it is not channels_last. bfloat16 as uint16."""
    rows = x.detach().permute(0, 2, 3, 1).contiguous()
    return rows.view(torch.int16).numpy().view(np.uint16) if x.dtype == torch.bfloat16 else rows.numpy()


def empty_like(x: Tensor) -> tuple[Tensor, np.ndarray]:
    """A new channels_last tensor of the shape and type of x, and its `pixels`."""
    new = torch.empty(x.shape, dtype=x.dtype, memory_format=torch.channels_last)
    rows = new.permute(0, 2, 3, 1)
    return new, rows.view(torch.int16).numpy().view(np.uint16) if x.dtype == torch.bfloat16 else rows.numpy()


def _wide(value):
    """A stored number as a float."""


def _narrow(value, like):
    """The number to store for a float, where `like` is stored."""


@overload(_wide, inline="always")
def _(value):
    if value == types.uint16:
        return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return lambda value: value


@overload(_narrow, inline="always")
def _(value, like):
    if like == types.uint16:

        def to_nearest_even(value, like):
            bits = np.float32(value).view(np.uint32)
            return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

        return to_nearest_even
    return lambda value, like: value


@compiled(fastmath=SUMS)
def prelu(x: Any, slopes: Any, y: Any) -> None:
    """y = x where x is positive, slope * x elsewhere. x, y: (P * C,), channels innermost. slopes: (n * C,), repeats."""
    period = len(slopes)
    for start in range(0, len(x), period):
        source, out = x[start : start + period], y[start : start + period]
        for k in range(len(source)):
            value = _wide(source[k])
            out[k] = _narrow(value if value > 0 else value * slopes[k], source[k])


@compiled(fastmath=SUMS)
def prelu_backward(x: Any, grad: Any, slope: Any, grad_x: Any, grad_slope: Any) -> None:
    """x, grad, grad_x: (P, C). slope: (C,) floats. grad_slope: (C,) float64, is added to."""
    count, channels = x.shape
    part = np.empty(channels, slope.dtype)
    for start in range(0, count, BLOCK):
        part[:] = 0
        for p in range(start, min(start + BLOCK, count)):
            for c in range(channels):
                value, flow = _wide(x[p, c]), _wide(grad[p, c])
                positive = value > 0
                part[c] += np.float32(0) if positive else value * flow
                grad_x[p, c] = _narrow(flow if positive else flow * slope[c], grad[p, c])
        for c in range(channels):
            grad_slope[c] += part[c]


@compiled(fastmath=SUMS)
def prelu_backward_few(x: Any, grad: Any, slopes: Any, channels: int, grad_x: Any, grad_slope: Any) -> None:
    """`prelu_backward` for at most LANES channels, in vector instructions although a pixel does not fill one.

    x, grad, grad_x: (P * C,). slopes: (BLOCK * C,), repeats. The sums are in the order of `prelu_backward`: the lanes
    behind the last channel add up what is not used.
    """
    size = len(slopes)
    terms = np.zeros(size + LANES, slopes.dtype)
    part = np.empty(LANES, slopes.dtype)
    for start in range(0, len(x), size):
        source, above, out = x[start : start + size], grad[start : start + size], grad_x[start : start + size]
        for k in range(len(source)):
            value, flow = _wide(source[k]), _wide(above[k])
            terms[k] = np.float32(0) if value > 0 else value * flow
            out[k] = _narrow(flow if value > 0 else flow * slopes[k], above[k])
        part[:] = 0
        for first in range(0, len(source), channels):
            pixel = terms[first : first + LANES]
            for c in range(LANES):
                part[c] += pixel[c]
        for c in range(channels):
            grad_slope[c] += part[c]


@compiled(fastmath=SUMS)
def depthwise_backward(
    x: Any, grad: Any, weight: Any, stride: int, dilation: int, grad_x: Any, grad_weight: Any
) -> None:
    """Gradients of a 3x3 depth-wise convolution whose padding is its dilation.

    x, grad_x: (N, H, W, C). grad: (N, h, w, C). weight: (3, 3, C) floats. grad_weight: (3, 3, C) float64, is added to.
    """
    number, height, width, channels = x.shape
    rows, columns = grad.shape[1], grad.shape[2]
    flow = np.empty((width, channels), weight.dtype)
    part = np.empty((3, 3, channels), weight.dtype)
    for n in range(number):
        for y in range(height):  # the row of x
            flow[:] = 0
            part[:] = 0
            for i in range(3):
                v = y - (i - 1) * dilation
                if v % stride != 0 or v < 0 or v // stride >= rows:
                    continue
                v //= stride
                for j in range(3):
                    shift = (j - 1) * dilation
                    for u in range(columns):
                        at = u * stride + shift
                        if 0 <= at < width:
                            for c in range(channels):
                                g = _wide(grad[n, v, u, c])
                                flow[at, c] += g * weight[i, j, c]
                                part[i, j, c] += g * _wide(x[n, y, at, c])
            for at in range(width):
                for c in range(channels):
                    grad_x[n, y, at, c] = _narrow(flow[at, c], x[n, y, at, c])
            for i in range(3):
                for j in range(3):
                    for c in range(channels):
                        grad_weight[i, j, c] += part[i, j, c]


@compiled(fastmath=SUMS)
def moments(x: Any, near: Any, mean: Any, square: Any) -> None:
    """Adds the sums over pixels of x - near and of its square. x: (P, C). near: (C,). mean, square: (C,) float64."""
    count, channels = x.shape
    first, second = np.empty(channels, near.dtype), np.empty(channels, near.dtype)
    for start in range(0, count, BLOCK):
        first[:] = 0
        second[:] = 0
        for p in range(start, min(start + BLOCK, count)):
            for c in range(channels):
                value = _wide(x[p, c]) - near[c]
                first[c] += value
                second[c] += value * value
        for c in range(channels):
            mean[c] += first[c]
            square[c] += second[c]


@compiled(fastmath=SUMS)
def scaled_prelu(x: Any, scale: Any, shift: Any, slope: Any, y: Any) -> None:
    """y = prelu(scale * x + shift). x, y: (P, C). scale, shift, slope: (C,)."""
    count, channels = x.shape
    for p in range(count):
        for c in range(channels):
            z = _wide(x[p, c]) * scale[c] + shift[c]
            y[p, c] = _narrow(z if z > 0 else z * slope[c], x[p, c])


@compiled(fastmath=SUMS)
def scaled_prelu_sums(x: Any, grad: Any, scale: Any, shift: Any, slope: Any, mean: Any, sums: Any) -> None:
    """Adds to sums (3, C), float64, over pixels: the gradient dz, dz * (x - mean), and the slope's gradient."""
    count, channels = x.shape
    part = np.empty((3, channels), scale.dtype)
    for start in range(0, count, BLOCK):
        part[:] = 0
        for p in range(start, min(start + BLOCK, count)):
            for c in range(channels):
                value, flow = _wide(x[p, c]), _wide(grad[p, c])
                z = value * scale[c] + shift[c]
                part[2, c] += np.float32(0) if z > 0 else z * flow
                flow = flow if z > 0 else flow * slope[c]
                part[0, c] += flow
                part[1, c] += flow * (value - mean[c])
        for i in range(3):
            for c in range(channels):
                sums[i, c] += part[i, c]


@compiled(fastmath=SUMS)
def scaled_prelu_backward(
    x: Any, grad: Any, scale: Any, shift: Any, slope: Any, mean: Any, constant: Any, linear: Any, grad_x: Any
) -> None:
    """grad_x = scale * dz - constant - linear * (x - mean), where dz is the gradient before the PReLU."""
    count, channels = x.shape
    for p in range(count):
        for c in range(channels):
            value, flow = _wide(x[p, c]), _wide(grad[p, c])
            z = value * scale[c] + shift[c]
            flow = flow if z > 0 else flow * slope[c]
            grad_x[p, c] = _narrow(scale[c] * flow - constant[c] - linear[c] * (value - mean[c]), x[p, c])
