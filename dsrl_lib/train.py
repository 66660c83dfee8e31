"""Training: one explicit loop from a configuration to a complete run directory.

All randomness of a step depends on (seed, epoch, sample) alone, and everything else is in last.pt. So a run that was
killed continues where it was and ends with the same bits, on the CPU.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from dsrl_lib import cost, network, runs
from dsrl_lib.allocator import keep_freed_memory
from dsrl_lib.config import Config
from dsrl_lib.data import TrainingSet, load_split
from dsrl_lib.evaluate import Evaluation, evaluate
from dsrl_lib.objective import class_weights, loss_terms, noise_image
from dsrl_lib.presets import parent_of
from dsrl_lib.schedule import epochs_before, learning_rate, make_optimizer

CHECKPOINT_SECONDS = 300


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite."""


def train(config: Config, *, device: str = "auto", workers: int = 0, progress: bool = True) -> Path:
    """Train, evaluate and write the run of `config`; return its directory.

    A complete run is returned at once; one that was cut off continues. The run it warm-starts from is trained first
    if it is missing. device: "auto", "cpu" or "cuda". workers: processes that load samples; results do not depend on
    them. Raises RunBusyError where another process writes the run, NonFiniteLossError with the step and the terms.
    """
    directory = runs.folder(config)
    if runs.is_complete(directory):
        return directory
    keep_freed_memory()
    parent = parent_of(config)
    start = train(parent, device=device, workers=workers, progress=progress) if parent else None
    with runs.acquire(directory):
        if not runs.is_complete(directory):
            Training(config, directory, pick_device(device), workers, progress).run(start)
    return directory


def pick_device(name: str) -> torch.device:
    """ "auto" takes CUDA where there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device = {name!r}; allowed: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device = 'cuda', but torch finds no CUDA device here; allowed: auto, cpu")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


class Training:
    """The state of one run: network, optimiser, step counter and history."""

    def __init__(self, config: Config, directory: Path, device: torch.device, workers: int, progress: bool) -> None:
        self.config, self.directory, self.device, self.workers = config, directory, device, workers
        self.progress = progress
        self.train_split = load_split(config.data.dataset, "train")
        self.val_split = load_split(config.data.dataset, "val")
        self.epoch_steps = len(self.train_split) // config.optim.batch_size
        if self.epoch_steps == 0:
            raise ValueError(
                f"optim.batch_size = {config.optim.batch_size}, but {config.data.dataset} train has only "
                f"{len(self.train_split)} images"
            )
        self.total_steps = self.epoch_steps * config.optim.epochs
        self.first_epoch = epochs_before(config)
        self.network = network.build(config).to(device, memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.network, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.optim.precision == "fp16")
        self.class_weights = class_weights(config, self.train_split, self.network.host.classes)
        self.environment = runs.environment()
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}
        self.seconds = 0.0
        self.final_val: Evaluation | None = None  # of the last epoch; made again where a run was cut off after it

    def run(self, start: Path | None) -> None:
        """From the checkpoint, or from `start` (the run to warm-start from), to metrics.json."""
        runs.write_json(self.directory / "config.json", self.config.to_dict())
        if (self.directory / "last.pt").exists():
            self.resume()
        elif start is not None:
            network.warm_start(self.network, start / "final.safetensors")
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        now = time.monotonic()
        self.started, self.saved, self.epoch_started = now - self.seconds, now, (self.step, now)
        with self._bar() as bar, self._tensorboard() as board:
            for batch in self._batches():
                self._advance(batch, bar)
                if self.step % self.epoch_steps == 0:
                    self._finish_epoch(bar, board)
                elif time.monotonic() - self.saved > CHECKPOINT_SECONDS:
                    self.checkpoint()
        self.finish()

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        """The batches from the present step to the end of the run."""
        dataset = TrainingSet(self.train_split, self.config.data, self.config.seed, self.config.model.input_scale)
        keys = [self._keys(step) for step in range(self.step, self.total_steps)]
        pinned = self.device.type == "cuda"
        loader = DataLoader(dataset, batch_sampler=keys, num_workers=self.workers, pin_memory=pinned)
        for key, batch in zip(keys, loader, strict=True):
            if self.config.loss.sisr_target == "noise":
                batch["noise"] = torch.stack([noise_image(index, batch["hr"].shape[1:]) for _, index in key])
            yield batch

    def _keys(self, step: int) -> list[tuple[int, int]]:
        """(epoch, index) of each sample of a batch: a fresh permutation every epoch, the last partial batch dropped.

        Epochs are counted on from those of the runs that this one started from: no stage sees a sample again.
        """
        epoch, position = divmod(step + self.first_epoch * self.epoch_steps, self.epoch_steps)
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.train_split))
        start = position * self.config.optim.batch_size
        return [(epoch, int(index)) for index in order[start : start + self.config.optim.batch_size]]

    def _advance(self, batch: dict[str, Tensor], bar: tqdm) -> None:
        stage_steps = self.epoch_steps * self.config.optim.stage_epochs
        if stage_steps and self.step % stage_steps == 0:
            self.optimizer = make_optimizer(self.network, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step, self.epoch_steps)
        self.network.train()
        for norm in network.batch_norms(self.network) if self.config.model.frozen_bn else ():
            norm.eval()
        batch = {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}
        terms = loss_terms(self.network, batch, self.config, self.class_weights)
        values = {name: term.detach().item() for name, term in terms.items()}
        if not np.isfinite(list(values.values())).all():
            self._stop_non_finite(values)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(sum(terms.values())).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        values["loss"] = sum(values.values())
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in values.items()}
        bar.update(self.config.optim.batch_size)

    def _stop_non_finite(self, values: dict[str, float]) -> None:
        saved = self.directory / "last.pt"
        good = f"the last good checkpoint is {saved}" if saved.exists() else "there is no checkpoint yet"
        terms = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        raise NonFiniteLossError(f"{self.config.run_id}: non-finite loss at step {self.step}: {terms}; {good}")

    def _finish_epoch(self, bar: tqdm, board: Any) -> None:
        epoch = self.step // self.epoch_steps
        row = {"epoch": epoch, "step": self.step, "lr": self.optimizer.param_groups[0]["lr"]}
        row |= {name: total / self.epoch_steps for name, total in self.sums.items()}
        begin, since = self.epoch_started
        row["images_per_s"] = (self.step - begin) * self.config.optim.batch_size / (time.monotonic() - since)
        last = epoch == self.config.optim.epochs
        if epoch % self.config.optim.validate_every == 0 or last:
            result = evaluate(self.network, self.val_split, self.config, details=last, workers=self.workers)
            row |= {"val_miou": result.miou}
            if self.config.model.sisr:
                row |= {"val_psnr": result.summary()["psnr"]}
            self.final_val = result if last else None
        self.history.append(row)
        self.sums = {}
        self.checkpoint()
        self.epoch_started = (self.step, time.monotonic())
        bar.set_postfix({k: f"{row[k]:.3f}" for k in ("loss", "val_miou") if k in row})
        for name in row.keys() - {"epoch", "step"}:
            board.add_scalar(name, row[name], epoch)

    def checkpoint(self) -> None:
        """Write last.pt and history.csv, each by rename."""
        self.saved = time.monotonic()
        self.seconds = self.saved - self.started
        state = {
            "config": self.config.to_dict(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all(),
            **{name: getattr(self, name) for name in ("step", "history", "sums", "seconds")},
        }
        runs.write_atomically(self.directory / "last.pt", lambda temporary: torch.save(state, temporary))
        runs.write_history(self.directory / "history.csv", self.history)

    def resume(self) -> None:
        """Continue from last.pt. ValueError if it is damaged or of another configuration."""
        path = self.directory / "last.pt"
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:
            raise ValueError(f"{path} is damaged ({error}); delete it to start the run again") from None
        if state["config"] != self.config.to_dict():
            raise ValueError(f"{path} belongs to another configuration; delete it to start the run again")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["torch_rng"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])
        for name in ("step", "history", "sums", "seconds"):
            setattr(self, name, state[name])

    def finish(self) -> None:
        """Weights, counts, environment, costs; metrics.json last."""
        seconds = time.monotonic() - self.started
        network.save(self.network, self.config, self.directory / "final.safetensors")
        metrics: dict[str, Any] = {}
        manifest = {"train": self.train_split.manifest_hash}
        for name in ("val", "test"):
            split = load_split(self.config.data.dataset, name)
            manifest[name] = split.manifest_hash
            known = self.final_val if name == "val" else None
            result = known or evaluate(self.network, split, self.config, workers=self.workers)
            runs.write_counts(self.directory / f"counts_{name}.npz", result.arrays())
            metrics[name] = result.summary()
        metrics["cost"] = cost.measure(self.network, self.config)
        self.environment |= {
            "device": cost.device_name(self.device),
            "threads": torch.get_num_threads(),
            "data": manifest,
            "train_seconds": round(seconds, 1),
            "peak_memory_mib": cost.peak_memory_mib(self.device),
        }
        runs.write_json(self.directory / "env.json", self.environment)
        runs.write_json(self.directory / "metrics.json", metrics)
        (self.directory / "last.pt").unlink(missing_ok=True)

    def _bar(self) -> tqdm:
        size = self.config.optim.batch_size
        return tqdm(
            total=self.total_steps * size, initial=self.step * size, unit=" images", disable=not self.progress,
            desc=f"{self.config.arm} s{self.config.seed}", mininterval=1.0,
        )  # fmt: skip

    def _tensorboard(self) -> contextlib.AbstractContextManager:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self.directory / "tensorboard", purge_step=len(self.history) + 1)
