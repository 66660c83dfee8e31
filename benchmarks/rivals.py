"""A training step of all of DSRL beside those of two public reimplementations, from checkouts given by path.

None of their code is here: a checkout is imported where it lies, and its network and FA loss are trained as its own
training script trains them. What they leave out, and so spend no time on:

- Dootmaan/DSRL: SISR branch, upsampling to HR and feature transform are never trained, since no optimiser holds them.
  SSSR has no learned layer. FA compares three channels of the outputs, pooled to 1/16 of HR.
- sanje2v/DualSuperResLearningForSemSeg: FA compares no pixels. It pools maps of one channel to 1/64 of HR, multiplies
  their columns, and takes the mean over all pairs of entries. SISR is one convolution.

Ours compares the features before the outputs, 288 channels, at 1/8 of HR: 16 times the affinities of the first. Ours is
trained with AdamW, the rivals with SGD. Nobody's step has loading or scaling of images in it.
"""

import importlib
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.stages import Case, process_seconds, stage_config, training_step
from dsrl_lib.device import pick_device

CASE = Case("deeplabv3plus_resnet101", 256, 512, 2, "fp32", dataset="cityscapes")
CLASSES = 19

LossOf = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(B, 3, h, w) input, (B, 3, H, W) at HR, (B, H, W) labels -> the loss."""


@dataclass(frozen=True)
class Rival:
    """source: its repository. modules: what `trained` needs of it. trained: its network, loss and optimiser."""

    source: str
    modules: tuple[str, ...]
    trained: Callable[..., tuple[nn.Module, LossOf, torch.optim.Optimizer]]


def rivals_bench(paths: Mapping[str, Path], case: Case = CASE, repeats: int = 5) -> list[dict[str, str | float]]:
    """Rows with `what`, `seconds`, and the ratio `to_ours` with its `least` and `most`: for ours and each rival.

    paths: checkouts, by the names of RIVALS. seconds: of one training step, CPU time (on a GPU, the time until it is
    done), the median of `repeats` after one to warm up. Ratio: the median of those of the repeats, in each of which
    all take a step in turn.
    Raises ValueError for a checkout without the rival's files, or one that cannot be imported.
    """
    steps = {"ours": training_step(stage_config(case, "SSSR + SISR + FA"))}
    steps |= {name: rival_step(name, path, case) for name, path in paths.items()}
    turns = [{what: process_seconds(step) for what, step in steps.items()} for _ in range(repeats + 1)][1:]
    rows: list[dict[str, str | float]] = []
    for what in steps:
        ratios = [turn[what] / turn["ours"] for turn in turns]
        medians = {"seconds": statistics.median(turn[what] for turn in turns), "to_ours": statistics.median(ratios)}
        rows.append({"what": what} | medians | {"least": min(ratios), "most": max(ratios)})
    return rows


def rival_step(name: str, checkout: Path, case: Case) -> Callable[[], None]:
    """A function that makes one training step of a rival on random data. Raises as `rivals_bench`."""
    with _imported(name, checkout) as modules:
        network, loss, optimizer = RIVALS[name].trained(*modules)
    device, size = pick_device("auto"), (case.height, case.width)
    network.to(device).train()
    lr, hr = (torch.randn(case.batch, 3, *(side // part for side in size), device=device) for part in (2, 1))
    labels = torch.randint(CLASSES, (case.batch, *size), device=device)

    def step() -> None:
        optimizer.zero_grad()
        loss(lr, hr, labels).backward()
        optimizer.step()

    return step


def check_checkout(name: str, checkout: Path) -> None:
    """ValueError if a path has not the files of the rival."""
    for module in RIVALS[name].modules:
        file = Path(*module.split("."))
        places = (file.with_suffix(".py"), file / "__init__.py")
        if not any((checkout / place).is_file() for place in places):
            raise ValueError(f"--{name} {checkout}: no {places[0]} there; allowed: a checkout of {RIVALS[name].source}")


@contextmanager
def _imported(name: str, checkout: Path) -> Iterator[Sequence[ModuleType]]:
    """The rival's modules. Python forgets them afterwards, since both checkouts have a `utils`."""
    check_checkout(name, checkout)
    before, own = set(sys.modules), {path.stem for path in checkout.iterdir()}
    sys.path.insert(0, str(checkout))
    importlib.invalidate_caches()
    try:
        yield [importlib.import_module(module) for module in RIVALS[name].modules]
    except (ImportError, SyntaxError) as error:
        raise ValueError(f"--{name} {checkout}: cannot be imported: {error}") from error
    finally:
        sys.path.remove(str(checkout))
        for module in set(sys.modules) - before:
            if module.partition(".")[0] in own:
                del sys.modules[module]


def _dootmaan(deeplab: ModuleType, fa_loss: ModuleType) -> tuple[nn.Module, LossOf, torch.optim.Optimizer]:
    with mock.patch("torch.utils.model_zoo.load_url", return_value={}):  # any weights take as long: no download
        network = deeplab.DeepLab(num_classes=CLASSES, sync_bn=False)
    affinity = fa_loss.FALoss()

    def loss(low: Tensor, high: Tensor, labels: Tensor) -> Tensor:
        logits, image, *maps = network(low)
        cross_entropy = F.cross_entropy(logits, labels, ignore_index=255) / len(labels)
        return cross_entropy + 0.5 * F.mse_loss(image, high) + 0.5 * affinity(*maps)

    groups = [{"params": network.get_1x_lr_params()}, {"params": network.get_10x_lr_params(), "lr": 0.01}]
    return network, loss, torch.optim.SGD(groups, lr=0.001, momentum=0.9, weight_decay=1e-4)


def _sanje2v(models: ModuleType, losses: ModuleType) -> tuple[nn.Module, LossOf, torch.optim.Optimizer]:
    network, affinity = models.DSRL(3, SimpleNamespace(NUM_CLASSES=CLASSES)), losses.FALoss()

    def loss(low: Tensor, high: Tensor, labels: Tensor) -> Tensor:
        logits, image, *maps = network(low)
        with mock.patch.object(torch, "Assert", torch._assert, create=True):  # PyTorch has dropped that name
            fa = affinity(*maps)
        return F.cross_entropy(logits, labels, ignore_index=255) + 0.1 * F.mse_loss(image, high) + fa

    return network, loss, torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


RIVALS = {
    "dootmaan": Rival("Dootmaan/DSRL", ("modeling.deeplab", "utils.fa_loss"), _dootmaan),
    "sanje2v": Rival("sanje2v/DualSuperResLearningForSemSeg", ("models", "models.losses"), _sanje2v),
}
