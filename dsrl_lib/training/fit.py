"""Train the run of a configuration: found complete, continued from its checkpoint, or started."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from dsrl_lib import distributed, runs
from dsrl_lib.config import Config
from dsrl_lib.conflicts import check_shared_batch
from dsrl_lib.data.split import load_split
from dsrl_lib.device import keep_freed_memory
from dsrl_lib.evaluation.evaluate import check_frames
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.own_data import has_test
from dsrl_lib.paths import check_folder
from dsrl_lib.training.begin import check_beginning, continue_or_start
from dsrl_lib.training.data_notes import tell_of_other_data, tell_of_shared_images
from dsrl_lib.training.finish import finish
from dsrl_lib.training.launch import launch
from dsrl_lib.training.loop import train, validate
from dsrl_lib.training.machine import check_machine, check_memory, check_options, devices_name
from dsrl_lib.training.provenance import of_all, provenance
from dsrl_lib.training.signals import stop_requests
from dsrl_lib.training.snapshots import BEST, EPOCH, kept, snapshots
from dsrl_lib.training.state import RunState
from dsrl_lib.training.workers import default_workers, explained


def fit(
    config: Config,
    *,
    device: str = "auto",
    workers: int | None = None,
    devices: int = 1,
    keep_best: bool = False,
    keep_last: int = 0,
    progress: bool = True,
) -> Path:
    """Train, evaluate and write the run of `config`; return its directory.

    A complete run is returned at once; one that was cut off continues. A run that another process writes is waited
    for. device: "auto", "cpu" or "cuda". workers: processes that load samples, by default up to 8 with a GPU and none
    without (`default_workers`); results do not depend on them. devices: processes, each with its own device, that share
    the run; torchrun starts them. keep_best, keep_last: also keep the weights of the best validation and of so many
    last epochs (`snapshots`). After training on the CPU, the process keeps the memory that it frees
    (`device.keep_freed_memory`).
    Raises ValueError for settings that do not fit each other (`Config.checked`), FileNotFoundError if the run that it
    starts from (`config.warm_start`) has not left its weights or the file (`config.model.start`) is not kept here,
    NonFiniteLossError with the step and the terms, StoppedError after SIGTERM or SIGUSR1 (a checkpoint is written), and
    RuntimeError if one of several processes fails.
    """
    directory = runs.folder(config.checked())
    check_options(workers=workers, devices=devices, keep_last=keep_last)
    if runs.is_complete(directory) and not distributed.launched():
        if (keep_best and not kept(directory, BEST)) or (keep_last and not kept(directory, EPOCH)):
            print(f"{directory.name} is complete, and kept no weights of its epochs", file=sys.stderr)
        tell_of_other_data(config, directory)
        return directory
    check_folder(directory, "DSRL_RESULTS")
    where = check_machine(config, device=device, workers=workers, devices=devices)
    workers = default_workers(config, where, max(devices, distributed.local_size())) if workers is None else workers
    model = check_beginning(config, directory)
    if devices > 1:
        with runs.acquire(directory, wait=True):  # which removes what a killed process was writing
            runs.prepare(directory, config)
        options = ["--device", where.type, "--workers", str(workers), "--keep-last", str(keep_last)]
        options += ["--keep-best"] if keep_best else []
        launch(["train", str(directory / "config.json"), *options], devices, show=progress)
    with distributed.group(where):
        if not distributed.from_first(runs.is_complete(directory)):
            with explained():
                _take_up(config, directory, model, where, workers, progress, snapshots(directory, keep_best, keep_last))
            distributed.from_first(None)  # no process leaves before the first one has completed the run
    return directory


def _take_up(
    config: Config,
    directory: Path,
    model: DSRL | None,
    device: torch.device,
    workers: int,
    progress: bool,
    keep: Callable[[RunState], None],
) -> None:
    """Train the run under its lock, unless another process completed it meanwhile. model: as it begins, if built."""
    check_shared_batch(config, distributed.size())  # torchrun may have started more than `devices` says
    if device.type == "cpu":
        keep_freed_memory()
    writes = distributed.rank() == 0
    with runs.acquire(directory, wait=True) if writes else nullcontext(), stop_requests() as asked_to_stop:
        if distributed.from_first(runs.is_complete(directory)):
            return
        here = provenance() | {"device": devices_name(device)}  # of the code as it is now, not at the end
        check_memory(config, device)
        held_out = ("val", "test") if has_test(config.data.dataset) else ("val",)
        splits = {name: load_split(config.data.dataset, name) for name in ("train", *held_out)}
        for name in held_out:
            check_frames(splits[name], config, device)
        splits.setdefault("test", splits["val"])
        if writes and config.warm_start is None:
            tell_of_shared_images(config, splits)
        state = RunState(config, splits["train"], device, splits["val"], model)
        if writes:
            runs.prepare(directory, config)
        continue_or_start(state, directory)
        state.processes = [*(each for each in state.processes if each != here), here]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        show = progress and writes
        val = train(state, directory, splits, workers=workers, progress=show, asked_to_stop=asked_to_stop, keep=keep)
        environment = of_all(state.processes) | {
            "data": {name: split.manifest_hash for name, split in splits.items()},
            "train_seconds": round(state.seconds, 1),
        }
        measured = {"loss_weights": state.weights, "gradients_at_start": state.gradients_at_start}
        environment |= {name: values for name, values in measured.items() if values}
        val = val or validate(state, splits["val"], details=True, workers=workers)
        same = splits["test"].manifest_hash == splits["val"].manifest_hash  # such as where test labels are withheld
        test = val if same else validate(state, splits["test"], details=True, workers=workers)
        evaluations = {"val": val, "test": test}
        if writes:
            finish(directory, state.network, config, evaluations, environment, splits)
