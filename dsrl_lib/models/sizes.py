"""Operations whose sizes stay open when a network is exported.

An exporter follows one forward pass. What depends on a size there is fixed for good, or cannot be expressed in the
format; these functions give it something that holds for every size, and the plain operation at all other times.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_SIDE = 32
"""Smallest height and width of a host's input in a file, in pixels."""


def exporting() -> bool:
    """Whether a forward pass is being recorded for a file."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up, for a >= 0. Not -(-a // b): ONNX rounds the quotient of a negative number to zero."""
    return (a + b - 1) // b


def at_least(length: int, smallest: int) -> int:
    """max(length, smallest), as something that is recorded."""
    if isinstance(length, Tensor):  # TorchScript counts in tensors
        return length.clamp(min=smallest)
    return torch.sym_max(length, smallest)


def scaled(length: int, scale: float) -> int:
    """max(2, round(length * scale)), as something that is recorded."""
    if not exporting():
        return max(2, round(length * scale))
    side = length if isinstance(length, Tensor) else torch.arange(length)[-1] + 1
    side = (side.double() * scale).round().long().clamp_min(2)
    if isinstance(length, Tensor):
        return side
    side = side.item()  # one unknown instead of a formula of quotients, which takes minutes to reason about
    torch._check(side >= LEAST_SIDE)
    return side


def last_places(size: tuple[int, int], device: torch.device) -> Tensor:
    """(H - 1, W - 1), (2,) int64, as something that is recorded; `torch.tensor` makes a constant."""
    return torch.stack([torch.arange(side, device=device)[-1] for side in size])


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation (B, C, h, w) -> (B, C, *size) with align_corners=False, where the size differs at all."""
    if not exporting() and tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False)  # at equal sizes it changes no value


def adaptive_average(x: Tensor, size: tuple[int, int]) -> Tensor:
    """`F.adaptive_avg_pool2d`, (B, C, h, w) -> (B, C, *size); in a file, which has no such operation, running sums."""
    if not exporting():
        return F.adaptive_avg_pool2d(x, size)
    return _averages(_averages(x, 2, size[0]), 3, size[1])


def _averages(x: Tensor, axis: int, cells: int) -> Tensor:
    """Cell i is the average over floor(i n / cells) to ceil((i + 1) n / cells) of the n places along `axis`."""
    length, cell = x.shape[axis], torch.arange(cells, device=x.device)
    begin, end = cell * length // cells, ceil_div((cell + 1) * length, cells)  # (cells,)
    sums = torch.cat((torch.zeros_like(x.narrow(axis, 0, 1)), x.cumsum(axis)), axis)  # n + 1 along axis
    counts = (end - begin).to(x.dtype)
    total = sums.index_select(axis, end) - sums.index_select(axis, begin)
    return total / (counts if axis == 3 else counts[:, None])
