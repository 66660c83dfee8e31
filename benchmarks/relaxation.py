"""Label relaxation against cross entropy and against the published form: time of forward and backward."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import milliseconds
from dsrl_lib.losses.label_relaxation import relaxed_cross_entropy

# (batch, classes, h, w): a CamVid training step.
CASES = ((8, 11, 360, 480),)
Case = tuple[int, int, int, int]


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


FORMS = {"cross_entropy": plain, "published": published, "relaxed_cross_entropy": relaxed_cross_entropy}


def relaxation_bench(cases: tuple[Case, ...] = CASES, repeats: int = 3) -> list[dict[str, str | float]]:
    """Rows with `device`, `shape`, `form`, `milliseconds`, `to_cross_entropy` and `to_published`.

    milliseconds: the median over `repeats` after a warm-up, with PyTorch's present number of threads.
    to_cross_entropy: this form's milliseconds over those of the cross entropy. to_published: those of the published
    form over this form's. The labels are blocks of 60 pixels: 6 % of the sets hold two or more classes, as on CamVid.
    """
    rows: list[dict[str, str | float]] = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for case in cases:
            times = {form: _milliseconds(form, case, device, repeats) for form in FORMS}
            for form, taken in times.items():
                rows.append({
                    "device": device, "shape": "x".join(map(str, case)), "form": form, "milliseconds": taken,
                    "to_cross_entropy": taken / times["cross_entropy"],
                    "to_published": times["published"] / taken,
                })  # fmt: skip
    return rows


def _milliseconds(form: str, case: Case, device: str, repeats: int) -> float:
    batch, classes, h, w = case
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(case, generator=generator).to(device).requires_grad_()
    blocks = torch.randint(classes, (batch, -(-h // 60), -(-w // 60)), generator=generator, dtype=torch.uint8)
    labels = blocks.repeat_interleave(60, 1).repeat_interleave(60, 2)[:, :h, :w].contiguous().to(device)
    return milliseconds(lambda: torch.autograd.grad(FORMS[form](logits, labels), logits), repeats)
