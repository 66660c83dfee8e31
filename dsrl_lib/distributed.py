"""Several processes for one run, as torchrun starts them: each takes its share of every batch and of every split.

Of n processes, number r takes the samples r, r + n, r + 2n, ... of a batch or a split. Batch, learning rate, order and
augmentation are those of one process, and means are over all samples: so are losses and counts, up to rounding, except
where a layer sees the samples of its own process alone: batch norm without model.sync_bn, and dropout.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(hours=12)
"""The others wait so long for the first process, which may wait for a run of another job."""


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process; 0 is the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_size() -> int:
    """Number of processes that torchrun started on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if launched() else 1


def launched() -> bool:
    """Whether torchrun started this process."""
    return dist.is_torchelastic_launched()


@contextmanager
def group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started together with this one. Without torchrun, or joined already: nothing."""
    if dist.is_initialized() or not launched():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    yield
    dist.destroy_process_group()  # not after an error, where it could wait for ever for what the others still exchange


def share_buffers(network: nn.Module) -> None:
    """Give every process the buffers of the first: running statistics differ where each saw samples of its own."""
    if size() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def means(values: Sequence[Tensor], numbers: Sequence[float] = ()) -> list[float]:
    """Means over all processes of scalar tensors and plain numbers; the device is read once."""
    together = torch.stack([value.detach().double() for value in values])  # (values,), exact for float32
    if size() == 1:
        return [*together.tolist(), *map(float, numbers)]
    filled = [torch.full((1,), float(number), dtype=together.dtype, device=together.device) for number in numbers]
    together = torch.cat([together, *filled])  # (values + numbers,)
    dist.all_reduce(together)
    return (together / size()).tolist()


def mean(value: Tensor) -> Tensor:
    """The mean over processes of a tensor on a device."""
    if size() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / size()


def weight(count: Tensor) -> Tensor:
    """What turns a mean over `count` things here into this process's part of the mean over those of all processes."""
    total = count.clone()
    dist.all_reduce(total)
    return count * size() / total.clamp_min(torch.finfo(torch.float32).tiny if total.is_floating_point() else 1)


def gather(value: Any) -> list[Any]:
    """The value of every process, in order."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size()
    dist.all_gather_object(values, value)
    return values


def join(values: Tensor) -> Tensor:
    """Vectors of all processes as one, which may differ in length; without gradient."""
    return values if size() == 1 else torch.cat([part.to(values.device) for part in gather(values.detach().cpu())])


def from_first(value: Any) -> Any:
    """The value of process 0. Every process waits for it."""
    if size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
