"""Feature affinity against the direct N x N form: time of forward and backward, and extra peak memory."""

import resource
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import milliseconds
from dsrl_lib.losses.feature_affinity import feature_affinity

# (batch, channels of a, channels of b, h, w): three channels a side, and the affinity of a CamVid training step.
CASES = ((2, 3, 3, 64, 128), (8, 3, 32, 45, 60), (8, 10, 32, 45, 60))
Case = tuple[int, int, int, int, int]


def direct(a: Tensor, b: Tensor, *, normalise: bool = True, q: int = 1, eps: float = 1e-8) -> Tensor:
    """The same loss as the paper writes it, with both N x N matrices in memory."""
    a, b = a.flatten(2), b.flatten(2)  # (B, C, N)
    if normalise:
        a, b = (x / (x.square().sum(1, keepdim=True) + eps).sqrt() for x in (a, b))
    return (a.mT @ a - b.mT @ b).abs().pow(q).mean()


FORMS = {"direct": direct, "feature_affinity": feature_affinity}


def affinity_bench(cases: tuple[Case, ...] = CASES, repeats: int = 3) -> list[dict[str, str | float]]:
    """Rows with `device`, `tokens`, `channels`, `batch`, `form`, `milliseconds`, `extra_mib` and `ratio`.

    milliseconds: the median over `repeats` after a warm-up, with PyTorch's present number of threads. extra_mib:
    peak memory above that of the inputs. ratio: the direct form's milliseconds over this form's.
    """
    rows: list[dict[str, str | float]] = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for case in cases:
            batch, a, b, h, w = case
            times = {form: _milliseconds(form, case, device, repeats) for form in FORMS}
            for form, taken in times.items():
                rows.append({
                    "device": device, "tokens": f"{h}x{w}", "channels": f"{a}+{b}", "batch": batch, "form": form,
                    "milliseconds": taken,
                    "extra_mib": extra_memory(form, case) if device == "cpu" else _cuda_memory(form, case),
                    "ratio": times["direct"] / taken,
                })  # fmt: skip
    return rows


def extra_memory(form: str, case: Case) -> float:
    """Extra peak memory of one forward and backward on the CPU in MiB, measured in a fresh process."""
    code = f"from benchmarks.affinity import _print_memory; _print_memory({form!r}, {case!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _maps(case: Case, device: str) -> tuple[Tensor, Tensor]:
    batch, a, b, h, w = case
    generator = torch.Generator().manual_seed(0)
    maps = (torch.randn(batch, channels, h, w, generator=generator) for channels in (a, b))
    first, second = (x.to(device).requires_grad_() for x in maps)
    return first, second


def _step(form: str, maps: tuple[Tensor, Tensor]) -> None:
    torch.autograd.grad(FORMS[form](*maps), maps)


def _milliseconds(form: str, case: Case, device: str, repeats: int) -> float:
    maps = _maps(case, device)
    return milliseconds(lambda: _step(form, maps), repeats)


def _cuda_memory(form: str, case: Case) -> float:
    maps = _maps(case, "cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    _step(form, maps)
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _print_memory(form: str, case: Case) -> None:
    maps = _maps(case, "cpu")
    _step(form, _maps((1, *case[1:3], 8, 8), "cpu"))  # libraries and compiled code do not count
    before = _peak_mib()
    _step(form, maps)
    print(_peak_mib() - before)


def _peak_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss starts at the peak of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts in bytes
