"""Whether this machine can train a run: its devices, their names, its precision, its memory."""

from typing import Annotated

import torch

from dsrl_lib import distributed
from dsrl_lib.allowed import at_least, check
from dsrl_lib.allowed import workers as allowed_workers
from dsrl_lib.config import Config
from dsrl_lib.conflicts import check_shared_batch
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.device import check_precision, device_name, pick_device
from dsrl_lib.memory import free_bytes
from dsrl_lib.training.workers import check_workers


def check_options(*, workers: int | None = None, devices: int = 1, keep_last: int = 0) -> None:
    """ValueError for an option of `fit` that no run can have."""
    if workers is not None:
        check("workers", workers, Annotated[int, allowed_workers()])
    check("devices", devices, Annotated[int, at_least(1)])
    check("keep_last", keep_last, Annotated[int, at_least(0)])


def check_machine(
    config: Config, *, device: str = "auto", workers: int | None = None, devices: int = 1
) -> torch.device:
    """The device of that name. ValueError if `fit` cannot train the run of `config` with these options here."""
    where = pick_device(device)
    check_precision(config.optim.precision, where)
    if where.type == "cuda" and devices > (most := torch.cuda.device_count()):
        raise ValueError(f"devices = {devices}; allowed: 1 to {most}, the number of CUDA devices that torch finds here")
    check_shared_batch(config, devices)
    check_workers(config, workers or 0)
    return where


def devices_name(device: torch.device) -> str:
    """The name of this process's device, after the number of processes if several share the run."""
    name = device_name(device)
    return name if distributed.size() == 1 else f"{distributed.size()} x {name}"


def check_memory(config: Config, device: torch.device) -> None:
    """ValueError if the logits of a batch, or of a frame, are larger than the memory that is free.

    On a GPU, PyTorch says so itself; on the CPU the system may kill the process.
    """
    if device.type != "cpu":
        return
    data, model, free = config.data, config.model, free_bytes()
    samples = config.optim.batch_size // distributed.size()
    number = 4 * len(class_table(data.dataset).classes)  # bytes of the logits of a pixel
    side = max(1.0, model.input_scale * (2 if model.sssr else 1))  # of the logits / HR side; those of HR are made too
    for name, count, height, width in (
        ("crop_height", samples, data.crop_height, data.crop_width),
        ("height", 1, data.height, data.width),
    ):
        if (needed := count * height * width * number * side * side) > free:
            setting = f"model.input_scale = {model.input_scale}" if side > 1 else f"data.{name} = {height}"
            enlarged = f" x {side:g} x {side:g}" if side > 1 else ""
            raise ValueError(
                f"{setting}: the logits of {count} x {height} x {width}{enlarged} pixels take {needed / 1e9:.1f} GB "
                f"of memory, and {free / 1e9:.1f} GB are free; allowed: smaller sizes or optim.batch_size"
            )
