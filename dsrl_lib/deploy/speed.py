"""How fast one network is on this device, by input size: latency with percentiles, throughput, peak memory."""

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dsrl_lib.allowed import Range, at_least, check
from dsrl_lib.allowed import threads as allowed_threads
from dsrl_lib.config import Config
from dsrl_lib.deploy.memory import Room
from dsrl_lib.device import autocast, device_name
from dsrl_lib.evaluation import cost
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.models.downsampling.downsampler import without_labels
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import check_file
from dsrl_lib.records import write_atomically

PERCENTILES = (50, 90, 99)
SECONDS = Range(0, "above 0, up to 3600", 3600, without_low=True)
"""Of one measurement."""


def parse_size(text: str) -> tuple[int, int]:
    """ "180x240" -> (180, 240), height first. ValueError for anything else."""
    height, cross, width = text.partition("x")
    if not cross or not (height.isdecimal() and width.isdecimal()) or min(int(height), int(width)) < 1:
        raise ValueError(f"size {text!r}; expected HEIGHTxWIDTH of the input in pixels, such as 180x240")
    return int(height), int(width)


def speed_table(
    model: DSRL,
    config: Config,
    sizes: Sequence[tuple[int, int]] = (),
    batch: int = 8,
    seconds: float = 3.0,
    trace: Path | None = None,
    threads: int | None = None,
) -> str:
    """`speed` of the pruned network as text, below a line that says what was measured where.

    sizes: that of the run's input if empty. threads: PyTorch's on the CPU; None leaves them as they are.
    """
    _check(batch, seconds, trace)
    if threads is not None:
        check("threads", threads, Annotated[int, allowed_threads()])
        torch.set_num_threads(threads)
    pruned = model.eval().prune().to(memory_format=torch.channels_last)
    sizes = sizes or [tuple(cost.example_input(config).shape[2:])]
    where = f"{device_name(next(pruned.parameters()).device)}, {torch.get_num_threads()} threads"
    head = f"{config.model.host}, {config.arm}, pruned, {config.optim.precision}; {where}"
    table = speed(pruned, config, sizes, batch, seconds, trace)
    return f"{head}\n{table.to_string(float_format=lambda value: f'{value:.2f}')}"


@torch.inference_mode()
def speed(
    model: DSRL,
    config: Config,
    sizes: Sequence[tuple[int, int]],
    batch: int = 8,
    seconds: float = 3.0,
    trace: Path | None = None,
) -> pd.DataFrame:
    """One row per input size: latency of one frame in ms (percentiles), images/s in batches, peak memory in MiB.

    Latency is from the normalised input to class ids at the size of the output, after a warm-up of a tenth of
    `seconds`; it and the throughput are each measured for `seconds`. Peak memory is that of the device's allocator, or
    on the CPU the largest sum of live activations. trace: also write a chrome trace of one frame of the first size.
    ValueError for a batch below 1, and for seconds beyond SECONDS; DataError for a size beyond the
    memory that is free; OSError if `trace` is a folder.
    """
    _check(batch, seconds, trace)
    device = next(model.parameters()).device
    room = Room(model, config, TTA())
    for size in sizes:
        room.check_input(f"size {size[0]}x{size[1]} in batches of {batch}", batch * math.prod(size))
    rows = {}
    for size in sizes:
        frame = _frames(1, size, device)
        times = _times(model, config, frame, seconds)
        many = _times(model, config, _frames(batch, size, device), seconds)
        rows["x".join(map(str, size))] = {
            **{f"latency p{p} (ms)": 1e3 * float(np.percentile(times, p)) for p in PERCENTILES},
            f"images/s in batches of {batch}": batch / float(np.mean(many)),
            "peak memory (MiB)": _peak_mib(model, config, frame),
        }
    if trace is not None:
        _trace(model, config, sizes[0], trace)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("input")


def _check(batch: int, seconds: float, trace: Path | None) -> None:
    check("batch", batch, Annotated[int, at_least(1)])
    check("seconds", seconds, Annotated[float, SECONDS])
    if trace is not None:
        check_file(trace, "trace")
        if not trace.name.endswith((".json", ".json.gz")):
            raise ValueError(f"trace = {trace}; allowed: a name that ends in .json or .json.gz")


def _frames(count: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """Random inputs (count, 3, h, w), in memory as a network in channels_last takes them."""
    return torch.randn(count, 3, *size, device=device).contiguous(memory_format=torch.channels_last)


def _infer(model: DSRL, config: Config, frames: Tensor) -> Tensor:
    with autocast(frames.device, config.optim.precision):
        logits = without_labels(model)(frames)["logits"]
    return logits.argmax(1).to(torch.uint8).cpu()  # the copy waits for the device


def _times(model: DSRL, config: Config, frames: Tensor, seconds: float) -> list[float]:
    """Seconds of each pass that begins after the warm-up; at least one pass is warm-up, however long it takes."""
    times: list[float] = []
    begin = now = time.perf_counter()
    while not times or now - begin < 1.1 * seconds:
        start = now
        _infer(model, config, frames)
        now = time.perf_counter()
        if start - begin > 0.1 * seconds:
            times.append(now - start)
    return times


def _peak_mib(model: DSRL, config: Config, frame: Tensor) -> float:
    if frame.device.type != "cuda":
        return cost.activation_peak_mib(model, frame, config)
    torch.cuda.reset_peak_memory_stats()
    _infer(model, config, frame)
    return torch.cuda.max_memory_allocated() / 2**20


def _trace(model: DSRL, config: Config, size: tuple[int, int], path: Path) -> None:
    from torch.profiler import ProfilerActivity, profile

    device = next(model.parameters()).device
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    frame = _frames(1, size, device)
    with profile(activities=kinds) as profiler:
        _infer(model, config, frame)
    with TemporaryDirectory() as folder:  # the profiler itself says nothing of a full disk
        made = Path(folder, "trace.json" + path.suffix * (path.suffix == ".gz"))  # it takes not every sign of a name
        profiler.export_chrome_trace(str(made))
        write_atomically(path, lambda temporary: shutil.copyfile(made, temporary))
