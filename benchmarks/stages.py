"""What the stages of DSRL add to a training step: CPU time against the host alone, on the same host in one run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.batches import random_batch
from benchmarks.timing import finish
from dsrl_lib import network
from dsrl_lib.config import Config, Data, Loss, Model, Optim
from dsrl_lib.device import pick_device
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.schedule import make_optimizer

STAGES: dict[str, dict[str, Any]] = {
    "host, LR labels": {},
    "host, HR labels": {},
    "SSSR": {"sssr": True},
    "SSSR + SISR": {"sssr": True, "sisr": True},
    "SSSR + SISR + FA": {"sssr": True, "sisr": True, "fa": True},
}
RIVALS = {"to_lr": "host, LR labels", "to_bilinear": "host, HR labels"}


@dataclass(frozen=True)
class Case:
    """A host at one size and batch. height, width: HR in pixels."""

    host: str
    height: int
    width: int
    batch: int
    precision: Literal["fp32", "bf16", "fp16"]
    dataset: str = "camvid"


CASES = (Case("espnetv2_s1.0", 360, 480, 8, "bf16"), Case("deeplabv3plus_resnet101", 256, 512, 2, "fp32"))


def stages_bench(cases: tuple[Case, ...] = CASES, repeats: int = 3) -> list[dict[str, str | float]]:
    """Rows with `host`, `stage`, `seconds` and the ratios `to_lr` and `to_bilinear`: the host with LR and HR labels.

    seconds: of one training step, CPU time of all threads; on a GPU, the time until it is done. The fewest of
    `repeats` steps after one to warm up, all stages in turn.
    """
    rows: list[dict[str, str | float]] = []
    for case in cases:
        steps = {stage: training_step(stage_config(case, stage)) for stage in STAGES}
        seconds = {stage: float("inf") for stage in STAGES}
        for repeat in range(repeats + 1):
            for stage, step in steps.items():
                taken = process_seconds(step)
                seconds[stage] = min(seconds[stage], taken) if repeat else seconds[stage]
        for stage, found in seconds.items():
            ratios = {name: found / seconds[rival] for name, rival in RIVALS.items()}
            rows.append({"host": case.host, "stage": stage, "seconds": found, **ratios})
    return rows


def stage_config(case: Case, stage: str) -> Config:
    """The configuration of one of STAGES."""
    return Config(
        data=Data(case.dataset, case.height, case.width, crop_height=case.height, crop_width=case.width),
        model=Model(case.host, **STAGES[stage]),
        loss=Loss(train_labels="lr" if stage == "host, LR labels" else "hr"),
        optim=Optim(batch_size=case.batch, precision=case.precision),
    )


def training_step(config: Config, labels: Tensor | None = None) -> Callable[[], None]:
    """A function that makes one training step of its own network on random data, or with these labels (B, H, W)."""
    device = pick_device("auto")
    model = network.build(config).to(device, memory_format=torch.channels_last).train()
    optimizer, batch = make_optimizer(model, config), random_batch(config, model.host.classes, device)
    batch |= {} if labels is None else {"labels": labels.to(device)}

    def step() -> None:
        optimizer.zero_grad()
        sum(loss_terms(model, batch, config).values()).backward()
        optimizer.step()

    return step


def process_seconds(step: Callable[[], object]) -> float:
    """CPU time of a step, of all threads; with a GPU, the time until it is done."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    start = clock()
    finish(step)
    return clock() - start
