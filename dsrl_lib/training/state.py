"""The state of a run: all that a step changes, and all that is needed to continue with the same bits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from dsrl_lib import distributed, network
from dsrl_lib.config import Config
from dsrl_lib.data.split import Split
from dsrl_lib.data.statistics import class_pixels
from dsrl_lib.losses.class_weights import frequency_weights
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.training.batches import epoch_steps, training_set
from dsrl_lib.training.early_stopping import ends_early
from dsrl_lib.training.mean_grid import mean_grid
from dsrl_lib.training.schedule import loss_in_epoch, make_optimizer

KEPT = ("epochs_before", "step", "weights", "gradients_at_start", "history", "sums", "seconds")
"""Numbers of a `RunState` that a checkpoint holds."""


class RunState:
    """All that a step changes: network, optimiser, gradient scaler, step counter and history."""

    def __init__(
        self,
        config: Config,
        split: Split,
        device: torch.device,
        val: Split | None = None,
        model: DSRL | None = None,
    ) -> None:
        """Initial weights and step 0. split: the training images. val: those of validation, of which a checkpoint keeps
        the hash. model: the network of `config`, if it is built already. ValueError if the training images do not fill
        one batch."""
        self.config, self.device = config, device
        self.epoch_steps = epoch_steps(config, split)
        self.samples = training_set(split, config)  # says at once what does not fit
        name, boost = config.data.dataset, config.data.boost_dataset
        read = {f"{name} train": split, f"{name} val": val, f"{boost} train": self.samples.boost}
        self.data = {name: files.manifest_hash for name, files in read.items() if files is not None}
        """What the run reads before its end, and the hash of its files."""
        self.total_steps = self.epoch_steps * config.optim.epochs
        self.network = (network.build(config) if model is None else model).to(device, memory_format=torch.channels_last)
        network.set_training_mode(self.network, config)
        # With several processes, this one takes the mean of their gradients.
        self.model = self.network if distributed.size() == 1 else DistributedDataParallel(self.network)
        self.optimizer = make_optimizer(self.network, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.optim.precision == "fp16")
        if config.downsampling.locations == "mean":
            self.network.downsampling.fixed.copy_(mean_grid(split, config.downsampling))
        self.class_weights: Tensor | None = None
        if config.loss.class_weights == "frequency":
            self.class_weights = frequency_weights(class_pixels(split)[: self.network.host.classes]).to(device)
        self.epochs_before = 0
        """Epochs of training behind the weights that the run started from."""
        self.step = 0
        self.weights: dict[str, Any] = {}
        """Calibrated w1 and w2, numbers by name, of a run with target shares."""
        self.gradients_at_start: dict[str, float] = {}
        """Of a run with several terms: the columns of `gradient_shares`, before its first step."""
        self.history: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}
        """Of the loss and its terms, over the steps of the present epoch."""
        self.seconds = 0.0
        self.processes: list[dict[str, Any]] = []
        """`provenance` and device of the processes that trained the run: equal ones once, the last one last."""

    @property
    def steps_before(self) -> int:
        """Steps of the same length behind the weights that the run started from."""
        return self.epochs_before * self.epoch_steps

    @property
    def warmup_steps(self) -> int:
        """Steps at the start in which the SISR head trains alone."""
        return self.epoch_steps * self.config.optim.sisr_warmup

    @property
    def ends_early(self) -> bool:
        """Whether the run ends here, before its last epoch (`early_stopping`)."""
        return self.step < self.total_steps and ends_early(self.history, self.config.optim.patience)

    @property
    def weighted(self) -> Config:
        """The configuration with the loss of the present step: calibrated weights, and no relaxed labels at the end."""
        loss = loss_in_epoch(self.config.loss, self.epochs_before + self.step // self.epoch_steps)
        return replace(self.config, loss=replace(loss, **self.weights))

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue with the same bits."""
        return {
            "config": self.config.to_dict(),
            "data": self.data,
            "processes": self.processes,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            **{name: getattr(self, name) for name in KEPT},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`. ValueError if images or labels of training or validation are others, or if its
        numbers contradict each other."""
        known = state["data"]  # older checkpoints say it of train alone
        known = {f"{self.config.data.dataset} train": known} if isinstance(known, str) else known
        if changed := [name for name, digest in known.items() if self.data.get(name, digest) != digest]:
            raise ValueError(f"files of {', '.join(changed)} have changed since it was written")
        step, rows = state["step"], len(state["history"])
        if step > self.total_steps or rows != step // self.epoch_steps:
            raise ValueError(f"step {step} of {self.total_steps}, and {rows} epochs of {self.epoch_steps} steps")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        for name in KEPT:
            setattr(self, name, state[name])
        self.processes = list(state.get("processes", ()))  # older checkpoints do not say it
