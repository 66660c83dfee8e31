"""The feature-affinity pass on CUDA: one program per block of rows, D never leaves the chip."""

import torch
import triton
import triton.language as tl
from torch import Tensor


def signed_sums(x: Tensor, y: Tensor) -> Tensor:
    """sum_j sign(x_i . y_j) y_j for every token i. x, y: contiguous float32 (B, C <= 128, N); returns (B, C, N).

    Each program writes its own rows alone, without atomics: a repeated call gives the same bits.
    """
    batch, channels, count = x.shape
    padded = max(16, triton.next_power_of_2(channels))  # 16 is the least side of tl.dot
    block = 64 if padded <= 32 else 32
    out = torch.empty_like(y)
    with torch.cuda.device_of(x):
        _rows[triton.cdiv(count, block), batch](x, y, out, count, channels, padded, block)
    return out


@triton.jit
def _rows(x, y, out, count, CHANNELS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr):
    sample = tl.program_id(1).to(tl.int64) * CHANNELS * count
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    c = tl.arange(0, PADDED)
    own = sample + c[None, :] * count + i[:, None]  # (BLOCK, PADDED)
    inside = (c[None, :] < CHANNELS) & (i[:, None] < count)
    rows = tl.load(x + own, mask=inside, other=0.0)
    sums = tl.zeros((BLOCK, PADDED), dtype=tl.float32)
    for start in range(0, count, BLOCK):
        j = start + tl.arange(0, BLOCK)
        other = sample + c[:, None] * count + j[None, :]  # (PADDED, BLOCK)
        columns = tl.load(y + other, mask=(c[:, None] < CHANNELS) & (j[None, :] < count), other=0.0)
        # "ieee": TF32 would keep ten bits of the mantissa.
        difference = tl.dot(rows, columns, input_precision="ieee")  # (BLOCK, BLOCK)
        signs = (difference > 0).to(tl.float32) - (difference < 0).to(tl.float32)
        sums += tl.dot(signs, tl.trans(columns), input_precision="ieee")
    tl.store(out + own, sums, mask=inside)
