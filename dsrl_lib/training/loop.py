"""The training loop: the state of one run, from its start or its checkpoint to metrics.json.

All randomness of a step depends on (seed, epoch, sample) alone, and everything else is in the checkpoint. So a run that
was killed continues where it was and ends with the same bits, on the CPU. Several processes can share a run.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from dsrl_lib import distributed, network, runs
from dsrl_lib.config import Config
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.evaluation.evaluate import Evaluation, evaluate
from dsrl_lib.losses.criterion import class_weights, loss_terms, noise_image
from dsrl_lib.training import checkpoint, finish
from dsrl_lib.training.provenance import provenance
from dsrl_lib.training.schedule import epochs_before, learning_rate, make_optimizer
from dsrl_lib.training.signals import StoppedError, ignore_in_worker

CHECKPOINT_SECONDS = 300


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite."""


class Training:
    """The state of one run: network, optimiser, step counter and history."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        device: torch.device,
        workers: int,
        progress: bool,
        asked_to_stop: Callable[[], bool],
    ) -> None:
        self.config, self.directory, self.device, self.workers = config, directory, device, workers
        self.progress, self.asked_to_stop = progress, asked_to_stop
        self.writes = distributed.rank() == 0
        self.train_split = load_split(config.data.dataset, "train")
        self.val_split = load_split(config.data.dataset, "val")
        self.epoch_steps = len(self.train_split) // config.optim.batch_size
        if self.epoch_steps == 0:
            raise ValueError(
                f"optim.batch_size = {config.optim.batch_size}, but {config.data.dataset} train has only "
                f"{len(self.train_split)} images"
            )
        self.total_steps = self.epoch_steps * config.optim.epochs
        self.epochs_before = 0  # behind the weights that it starts from
        self.network = network.build(config).to(device, memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.network, config)
        # With several processes, this one takes the mean of their gradients.
        self.model = self.network if distributed.size() == 1 else DistributedDataParallel(self.network)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.optim.precision == "fp16")
        self.class_weights = class_weights(config, self.train_split, self.network.host.classes)
        self.environment = provenance()
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}
        self.seconds = 0.0
        self.final_val: Evaluation | None = None  # of the last epoch; made again where a run was cut off after it

    def run(self) -> None:
        """From the checkpoint, or from the weights that the run starts from, to metrics.json."""
        if self.writes:
            runs.write_json(self.directory / "config.json", self.config.to_dict())
        if checkpoint.exists(self.directory):
            self.resume()
        else:
            self.epochs_before = epochs_before(self.config)
            if (start := runs.start_weights(self.config)) is not None:
                network.warm_start(self.network, start, self.config.warm_start)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        now = time.monotonic()
        self.started, self.saved, self.epoch_started = now - self.seconds, now, (self.step, now)
        with self._bar() as bar, self._tensorboard() as board:
            for batch in self._batches():
                stop, save = self._advance(batch, bar)
                if self.step % self.epoch_steps == 0:
                    self._finish_epoch(bar, board)
                elif stop or save:
                    self.checkpoint()
                if stop and self.step < self.total_steps:
                    raise StoppedError(f"{self.config.run_id}: asked to stop after step {self.step} of "
                                       f"{self.total_steps}; the same command goes on from there")  # fmt: skip
        self.finish()

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        """The batches from the present step to the end of the run."""
        dataset = TrainingSet(self.train_split, self.config.data, self.config.seed, self.config.model.input_scale)
        every = [self._keys(step) for step in range(self.step, self.total_steps)]
        keys = [keys[distributed.rank() :: distributed.size()] for keys in every]
        pinned = self.device.type == "cuda"
        loader = DataLoader(
            dataset,
            batch_sampler=keys,
            num_workers=self.workers,
            pin_memory=pinned,
            worker_init_fn=ignore_in_worker,
        )
        for key, batch in zip(keys, loader, strict=True):
            if self.config.loss.sisr_target == "noise":
                batch["noise"] = torch.stack([noise_image(index, batch["hr"].shape[1:]) for _, index in key])
            yield batch

    def _keys(self, step: int) -> list[tuple[int, int]]:
        """(epoch, index) of each sample of a batch: a fresh permutation every epoch, the last partial batch dropped.

        Epochs are counted on from those of the runs that this one started from: no stage sees a sample again.
        """
        epoch, position = divmod(step + self.epochs_before * self.epoch_steps, self.epoch_steps)
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.train_split))
        start = position * self.config.optim.batch_size
        return [(epoch, int(index)) for index in order[start : start + self.config.optim.batch_size]]

    def _advance(self, batch: dict[str, Tensor], bar: tqdm) -> tuple[bool, bool]:
        """One step; whether a process was asked to stop, and whether it is time for a checkpoint."""
        stage_steps = self.epoch_steps * self.config.optim.stage_epochs
        if stage_steps and self.step % stage_steps == 0:
            self.optimizer = make_optimizer(self.network, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step, self.epoch_steps, self.epochs_before)
        self.network.train()
        for norm in network.batch_norms(self.network) if self.config.model.frozen_bn else ():
            norm.eval()
        batch = {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}
        terms = loss_terms(self.model, batch, self.config, self.class_weights)
        due = self.writes and time.monotonic() - self.saved > CHECKPOINT_SECONDS
        flags = [torch.tensor(float(flag), device=self.device) for flag in (self.asked_to_stop(), due)]
        *found, stop, save = distributed.means([*(term.detach() for term in terms.values()), *flags])
        values = dict(zip(terms, found, strict=True))
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
        return stop > 0, save > 0

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
            result = self._evaluate(self.val_split, details=last)
            row |= {"val_miou": result.miou}
            if self.config.model.sisr:
                row |= {"val_psnr": result.summary()["psnr"]}
            self.final_val = result if last else None
        self.history.append(row)
        self.sums = {}
        self.checkpoint()
        self.epoch_started = (self.step, time.monotonic())
        bar.set_postfix({k: f"{row[k]:.3f}" for k in ("loss", "val_miou") if k in row})
        for name in row.keys() - {"epoch", "step"} if self.writes else ():
            board.add_scalar(name, row[name], epoch)

    def _evaluate(self, split: Split, details: bool = True) -> Evaluation:
        distributed.share_buffers(self.network)  # all processes score the network that the first one saves
        return evaluate(self.network, split, self.config, details=details, workers=self.workers,
                        worker_init_fn=ignore_in_worker)  # fmt: skip

    def checkpoint(self) -> None:
        """Write the checkpoint and history.csv."""
        self.saved = time.monotonic()
        self.seconds = self.saved - self.started
        rng = distributed.gather(self._rng())
        if not self.writes:
            return
        state = {
            "config": self.config.to_dict(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": rng,
            **{name: getattr(self, name) for name in ("step", "epochs_before", "history", "sums", "seconds")},
        }
        checkpoint.save(self.directory, state)
        runs.write_history(self.directory / "history.csv", self.history)

    def resume(self) -> None:
        """Continue from the newest checkpoint that can be read. ValueError if none can, or if it is another run's."""
        state = checkpoint.load(self.directory)
        if Config.from_dict(state["config"]) != self.config:
            raise ValueError(
                f"the checkpoint in {self.directory} belongs to another configuration; delete it to start the run again"
            )
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        rng = state["rng"][distributed.rank() % len(state["rng"])]
        torch.set_rng_state(rng["torch"].cpu())
        if self.device.type == "cuda" and "cuda" in rng:
            torch.cuda.set_rng_state(rng["cuda"].cpu())
        for name in ("step", "history", "sums", "seconds"):
            setattr(self, name, state[name])
        self.epochs_before = state.get("epochs_before", None)
        if self.epochs_before is None:  # written before checkpoints kept it
            self.epochs_before = epochs_before(self.config)

    def _rng(self) -> dict[str, Tensor]:
        """State of this process's generators, which dropout draws from."""
        return {"torch": torch.get_rng_state()} | (
            {"cuda": torch.cuda.get_rng_state()} if self.device.type == "cuda" else {}
        )

    def finish(self) -> None:
        """Evaluate val and test, and write what the run leaves."""
        seconds = time.monotonic() - self.started
        test_split = load_split(self.config.data.dataset, "test")
        splits = {"train": self.train_split, "val": self.val_split, "test": test_split}
        evaluations = {"val": self.final_val or self._evaluate(self.val_split), "test": self._evaluate(test_split)}
        if self.writes:
            self.environment["data"] = {name: split.manifest_hash for name, split in splits.items()}
            self.environment["train_seconds"] = round(seconds, 1)
            finish.write(self.directory, self.network, self.config, evaluations, self.environment)

    def _bar(self) -> tqdm:
        size = self.config.optim.batch_size
        return tqdm(
            total=self.total_steps * size, initial=self.step * size, unit=" images", disable=not self.progress,
            desc=f"{self.config.arm} s{self.config.seed}", mininterval=1.0,
        )  # fmt: skip

    def _tensorboard(self) -> AbstractContextManager:
        if not self.writes:
            return nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self.directory / "tensorboard", purge_step=len(self.history) + 1)
