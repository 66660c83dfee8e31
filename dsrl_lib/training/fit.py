"""Train the run of a configuration: found complete, continued from its checkpoint, or started."""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import torch

from dsrl_lib import distributed, network, runs
from dsrl_lib.allowed import at_least, check
from dsrl_lib.config import Config
from dsrl_lib.conflicts import check_shared_batch
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.overlap import shared_images
from dsrl_lib.data.split import SPLITS, Split, load_split
from dsrl_lib.device import check_precision, free_bytes, keep_freed_memory, pick_device
from dsrl_lib.evaluation.evaluate import check_frames
from dsrl_lib.paths import DataError, check_folder, in_checkout, own_datasets
from dsrl_lib.records import read_json, write_json
from dsrl_lib.training import checkpoint
from dsrl_lib.training.finish import finish
from dsrl_lib.training.launch import launch
from dsrl_lib.training.loop import train, validate
from dsrl_lib.training.provenance import provenance
from dsrl_lib.training.schedule import epochs_before
from dsrl_lib.training.signals import stop_requests
from dsrl_lib.training.snapshots import BEST, EPOCH, kept, snapshots
from dsrl_lib.training.start import Started, kept_weights, start_from
from dsrl_lib.training.state import RunState
from dsrl_lib.training.workers import check_workers, default_workers, explained


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
    last epochs (`snapshots`). After training on the CPU, the process keeps the memory that it
    frees (`device.keep_freed_memory`).
    Raises ValueError for settings that do not fit each other (`Config.checked`), FileNotFoundError if the run that it
    starts from (`config.warm_start`) has not left its weights or the file (`config.model.start`) is not kept here,
    NonFiniteLossError with the step and the terms, StoppedError after SIGTERM or SIGUSR1 (a checkpoint is written), and
    RuntimeError if one of several processes fails.
    """
    directory = runs.folder(config.checked())
    check("keep_last", keep_last, Annotated[int, at_least(0)])
    if runs.is_complete(directory) and not distributed.launched():
        if (keep_best and not kept(directory, BEST)) or (keep_last and not kept(directory, EPOCH)):
            print(f"{directory.name} is complete, and kept no weights of its epochs", file=sys.stderr)
        _tell_of_other_data(config, directory)
        return directory
    check_folder(directory, "DSRL_RESULTS")
    where = check_machine(config, device=device, workers=workers, devices=devices)
    workers = default_workers(config, where, max(devices, distributed.local_size())) if workers is None else workers
    if not checkpoint.exists(directory):
        if config.continues is not None:
            before = config.continues.partition("@")[0]
            raise FileNotFoundError(
                f"{config.run_id} continues {config.continues}, and its checkpoint is not in {directory}: make it "
                f"again with `python -m dsrl_lib resume {before} --set ...`"
            )
        if config.warm_start is not None:
            runs.start_weights(config, config.warm_start)  # says at once what is missing
        if (file := kept_weights(config)) is not None:
            start_from(network.build(config), file, config)  # the same, of what does not fit: reading data takes long
    if devices > 1:
        runs.prepare(directory, config)
        options = ["--device", where.type, "--workers", str(workers), "--keep-last", str(keep_last)]
        options += ["--keep-best"] if keep_best else []
        launch(["train", str(directory / "config.json"), *options], devices, show=progress)
    with distributed.group(where):
        if not distributed.from_first(runs.is_complete(directory)):
            with explained():
                _take_up(config, directory, where, workers, progress, snapshots(directory, keep_best, keep_last))
            distributed.from_first(None)  # no process leaves before the first one has completed the run
    return directory


def _tell_of_other_data(config: Config, directory: Path) -> None:
    """A note on stderr if your own data set has changed since the run was completed."""
    if config.data.dataset not in own_datasets():
        return
    known = read_json(directory / "env.json", runs.ENVIRONMENT).get("data", {})
    kept = f"note: {directory.name} is kept as it is"
    delete = in_checkout(f"`python -m study runs --delete {directory.name}` removes it") or f"delete {directory}"
    try:
        changed = [
            name
            for name in SPLITS
            if name in known and known[name] != load_split(config.data.dataset, name).manifest_hash
        ]
    except DataError as error:
        print(f"{kept}, but its data cannot be read now: {error}", file=sys.stderr)
        return
    if changed:  # val and test too: the scores are of what they were
        print(f"{kept}, but files of {config.data.dataset} {', '.join(changed)} have changed since; {delete}, to "
              "train and score on those of now", file=sys.stderr)  # fmt: skip


def _tell_of_shared_images(config: Config, splits: Mapping[str, Split]) -> None:
    """A warning on stderr if images of your own data set are trained on and scored too."""
    if config.data.dataset not in own_datasets():
        return
    scored = {splits[name].manifest_hash: name for name in ("test", "val")}  # once, where test is val
    for name in scored.values():
        if found := shared_images(splits["train"], splits[name]):
            print(f"warning: {len(found)} of {len(splits[name])} images of {config.data.dataset} {name} are in train "
                  f"too, such as {found[0]}: their scores say nothing about new images", file=sys.stderr)  # fmt: skip


def _take_up(
    config: Config,
    directory: Path,
    device: torch.device,
    workers: int,
    progress: bool,
    keep: Callable[[RunState], None],
) -> None:
    """Train the run under its lock, unless another process completed it meanwhile."""
    check_shared_batch(config, distributed.size())  # torchrun may have started more than `devices` says
    if device.type == "cpu":
        keep_freed_memory()
    writes = distributed.rank() == 0
    with runs.acquire(directory, wait=True) if writes else nullcontext(), stop_requests() as asked_to_stop:
        if distributed.from_first(runs.is_complete(directory)):
            return
        environment = provenance()  # of the code as it is now, not when the run ends
        _check_memory(config, device)
        splits = {name: load_split(config.data.dataset, name) for name in ("train", "val", "test")}
        for name in ("val", "test"):
            check_frames(splits[name], config, device)
        if writes and config.warm_start is None:
            _tell_of_shared_images(config, splits)
        state = RunState(config, splits["train"], device, splits["val"])
        if writes:
            runs.prepare(directory, config)
        _continue_or_start(state, directory)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        show = progress and writes
        val = train(state, directory, splits, workers=workers, progress=show, asked_to_stop=asked_to_stop, keep=keep)
        environment |= {
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


def _check_memory(config: Config, device: torch.device) -> None:
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


def _continue_or_start(state: RunState, directory: Path) -> None:
    """Continue from the newest checkpoint that can be read, or start the run."""
    config = state.config
    if checkpoint.exists(directory):
        saved = checkpoint.load(directory)
        if not _is_of(saved["config"], config):
            raise ValueError(
                f"the checkpoint in {directory} belongs to another configuration; delete it to start the run again"
            )
        try:
            state.load_state_dict(saved)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = shorten(str(error), 200)  # it may list every tensor
            raise ValueError(
                f"the checkpoint in {directory} does not fit this run ({reason}); delete it to start the run again"
            ) from error
    elif (started := start(state)) and distributed.rank() == 0:
        write_json(directory / "start.json", asdict(started))
        print(started, file=sys.stderr, flush=True)


def _is_of(saved: Mapping[str, Any], config: Config) -> bool:
    try:
        return Config.from_dict(saved) == config
    except ValueError:  # no configuration at all
        return False


def start(state: RunState) -> Started | None:
    """Put a new state where its run begins: at the weights of the run or the file that the configuration names, if it
    names one. Returns what a file gave."""
    config = state.config
    if (file := kept_weights(config)) is not None:
        return start_from(state.network, file, config)
    if config.warm_start is not None:
        weights = runs.start_weights(config, config.warm_start)
        state.epochs_before = epochs_before(config)
        network.warm_start(state.network, weights, config.warm_start)
    return None


def check_machine(
    config: Config,
    *,
    device: str = "auto",
    workers: int | None = None,
    devices: int = 1,
    keep_best: bool = False,
    keep_last: int = 0,
    progress: bool = True,
) -> torch.device:
    """The device of that name. ValueError if `fit` cannot train the run of `config` with these options here."""
    if workers is not None:
        check("workers", workers, Annotated[int, at_least(0)])
    check("devices", devices, Annotated[int, at_least(1)])
    where = pick_device(device)
    check_precision(config.optim.precision, where)
    if where.type == "cuda" and devices > (most := torch.cuda.device_count()):
        raise ValueError(f"devices = {devices}; allowed: 1 to {most}, the number of CUDA devices that torch finds here")
    check_shared_batch(config, devices)
    check_workers(config, workers or 0)
    return where
