"""Label relaxation against cross entropy, PyTorch's and ours, and the published form: the loss, and a training step."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.stages import Case as Step
from benchmarks.stages import process_seconds, stage_config, training_step
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.losses.label_relaxation import relaxed_cross_entropy
from dsrl_lib.losses.segmentation import cross_entropy

# (batch, classes, h, w): training steps on CamVid, and on Cityscapes, where the published form has 20 planes.
CASES = ((8, 11, 360, 480), (2, 19, 512, 1024))
Case = tuple[int, int, int, int]
STEPS = (
    Step("espnetv2_s1.0", 360, 480, 8, "fp32"),
    Step("espnetv2_s1.0", 512, 1024, 2, "fp32", "cityscapes"),
    Step("espnetv2_s2.0", 512, 1024, 2, "fp32", "cityscapes"),
)


def plain(logits: Tensor, labels: Tensor) -> Tensor:
    """PyTorch's cross entropy."""
    return F.cross_entropy(logits, labels.long(), ignore_index=255)


def published(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of border 1 as it was released: K + 1 planes of one-hot labels, and the logarithm of a softmax."""
    classes = logits.shape[1]
    labels = labels.long().clamp_max(classes)  # void is one more class
    planes = F.one_hot(labels, classes + 1).movedim(3, 1).float()  # (B, K + 1, H, W)
    allowed = F.max_pool2d(planes, 3, stride=1, padding=1)[:, :classes]
    valid = allowed.amax(1) > 0  # (B, H, W)
    probability = (logits.softmax(1) * allowed).sum(1)
    return -torch.where(valid, probability, 1).log().sum() / valid.sum()


FORMS = {
    "F.cross_entropy": plain,
    "cross_entropy": cross_entropy,  # what a training step takes without label relaxation
    "published": published,
    "relaxed_cross_entropy": relaxed_cross_entropy,
}
RIVALS = {"to_torch": "F.cross_entropy", "to_cross_entropy": "cross_entropy", "to_published": "published"}


def relaxation_bench(cases: tuple[Case, ...] = CASES, repeats: int = 5) -> list[dict[str, str | float]]:
    """Rows with `device`, `shape`, `form`, `milliseconds`, and the ratios of this form's to those of the RIVALS.

    milliseconds: CPU time of all threads; with a GPU, the time until it is done. The fewest of `repeats` after one to
    warm up, all forms in turn. The labels are blocks of 60 pixels: 6 % of the sets hold two or more classes, as on
    CamVid.
    """
    rows: list[dict[str, str | float]] = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for case in cases:
            steps = {form: _step(form, case, device) for form in FORMS}
            turns = [{form: 1000 * process_seconds(step) for form, step in steps.items()} for _ in range(repeats + 1)]
            times = {form: min(turn[form] for turn in turns[1:]) for form in FORMS}
            for form, taken in times.items():
                ratios = {name: taken / times[rival] for name, rival in RIVALS.items()}
                shape = "x".join(map(str, case))
                rows.append({"device": device, "shape": shape, "form": form, "milliseconds": taken, **ratios})
    return rows


def relaxed_step_bench(cases: tuple[Step, ...] = STEPS, repeats: int = 9) -> list[dict[str, str | float]]:
    """Rows with `host`, `input`, the seconds of a training step of arms `bilinear` and `relaxed`, and their `ratio`.

    Seconds as in `stages_bench`, the medians of `repeats` after one to warm up, both in turn. ratio: the median of
    those of each turn. Labels as in `relaxation_bench`.
    """
    rows: list[dict[str, str | float]] = []
    for case in cases:
        config = stage_config(case, "host, HR labels")
        labels = _blocks(case.batch, len(class_table(case.dataset).classes), case.height, case.width)
        steps = [training_step(replace(config, loss=replace(config.loss, segmentation=form)), labels)
                 for form in ("ce", "relaxed")]  # fmt: skip
        turns = [[process_seconds(step) for step in steps] for _ in range(repeats + 1)][1:]
        one, other = (median(times) for times in zip(*turns, strict=True))
        ratio = median(relaxed / ce for ce, relaxed in turns)
        shape = f"{case.batch}x3x{case.height // 2}x{case.width // 2}"
        rows.append({"host": case.host, "input": shape, "bilinear": one, "relaxed": other, "ratio": ratio})
    return rows


def _step(form: str, case: Case, device: str) -> Callable[[], object]:
    """A function that computes the loss and its gradient."""
    logits = torch.randn(case, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    labels = _blocks(*case).to(device)
    return lambda: torch.autograd.grad(FORMS[form](logits, labels), logits)


def _blocks(batch: int, classes: int, h: int, w: int) -> Tensor:
    """Labels of equal blocks, 60 pixels on a side, uint8 (B, H, W)."""
    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(classes, (batch, -(-h // 60), -(-w // 60)), generator=generator, dtype=torch.uint8)
    return blocks.repeat_interleave(60, 1).repeat_interleave(60, 2)[:, :h, :w].contiguous()
