"""Train the run of a configuration: found complete, continued from its checkpoint, or started."""

from contextlib import nullcontext
from pathlib import Path

import torch

from dsrl_lib import distributed, runs
from dsrl_lib.config import Config
from dsrl_lib.device import keep_freed_memory, pick_device
from dsrl_lib.training import checkpoint
from dsrl_lib.training.launch import launch
from dsrl_lib.training.loop import Training
from dsrl_lib.training.signals import stop_requests


def fit(config: Config, *, device: str = "auto", workers: int = 0, devices: int = 1, progress: bool = True) -> Path:
    """Train, evaluate and write the run of `config`; return its directory.

    A complete run is returned at once; one that was cut off continues. A run that another process writes is waited
    for. device: "auto", "cpu" or "cuda". workers: processes that load samples; results do not depend on them.
    devices: processes, each with a device of its own, that share the run; torchrun starts them.
    Raises FileNotFoundError if the run that it starts from (`config.warm_start`) has not left its weights,
    NonFiniteLossError with the step and the terms, StoppedError after SIGTERM or SIGUSR1 (a checkpoint is written),
    and RuntimeError if one of several processes fails.
    """
    directory = runs.folder(config)
    if runs.is_complete(directory) and not distributed.launched():
        return directory
    where = pick_device(device)
    _check_devices(config, devices, where)
    if not checkpoint.exists(directory):
        runs.start_weights(config)  # says at once what is missing
    if devices > 1:
        runs.prepare(directory, config)
        options = ["--device", device, "--workers", str(workers)]
        launch(["resume", str(directory), *options], devices, show=progress)
    with distributed.group(where):
        if distributed.from_first(runs.is_complete(directory)):
            return directory
        keep_freed_memory()
        writes = distributed.rank() == 0
        with runs.acquire(directory, wait=True) if writes else nullcontext(), stop_requests() as asked_to_stop:
            if not distributed.from_first(runs.is_complete(directory)):
                Training(config, directory, where, workers, progress and writes, asked_to_stop).run()
    return directory


def _check_devices(config: Config, devices: int, device: torch.device) -> None:
    if devices < 1:
        raise ValueError(f"devices = {devices}; allowed: 1 or more")
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(f"devices = {devices}, but torch finds {torch.cuda.device_count()} CUDA devices here")
    if config.optim.batch_size % devices:
        raise ValueError(f"optim.batch_size = {config.optim.batch_size} cannot be shared by {devices} processes")
