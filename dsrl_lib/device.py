"""The device of this machine: which one, its name, its precision, and its memory."""

import ctypes
import os
import platform
import re
import sys
import warnings
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import torch

from dsrl_lib import bfloat16

# Names and numbers of <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1
DRIVER = Path("/proc/driver/nvidia/version")
"""What NVIDIA's driver for Linux says of itself; no file without it."""


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" takes CUDA if there is one. ValueError for any but auto, cpu and cuda."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device = {name!r}; allowed: auto, cpu, cuda")
    if name != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    if name == "cuda":
        raise ValueError(f"device = 'cuda', but {why_no_cuda()}; allowed: auto, cpu")
    if name == "auto" and _has_driver():
        warnings.warn(f"the CPU is used: {why_no_cuda()}", stacklevel=1)
    return torch.device("cpu")


def cuda_devices() -> list[str]:
    """The names of the CUDA devices: with one of them in CUDA_VISIBLE_DEVICES, a process sees that device alone."""
    number, listed = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(number)) if listed is None else map(str.strip, listed.split(","))
    return list(names)[:number]  # CUDA ignores what follows a wrong name


def why_no_cuda() -> str:
    """Why there is no CUDA device for this process, as far as driver and torch tell; "" if there is one."""
    if torch.cuda.is_available():
        return ""
    nothing = "torch finds no CUDA device here"
    if not _has_driver():
        return nothing
    version = re.search(r"\d{3,}(\.\d+)+", DRIVER.read_text())
    driver = f"NVIDIA's driver {version[0]}" if version else "an NVIDIA driver"
    if torch.version.cuda is None:
        needs = "is built without CUDA: install one built with it"
    else:
        needs = f"is built for CUDA {torch.version.cuda}: if that needs a newer driver, install a torch built for yours"
    return f"{nothing}, though {driver} is there. torch {torch.__version__} {needs} (README.md, Your GPU)"


def _has_driver() -> bool:
    """Whether NVIDIA's driver is there, and its cards are not hidden from this process on purpose."""
    return DRIVER.exists() and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1")


def check_precision(precision: str, device: torch.device) -> None:
    """ValueError if no run can be trained in this precision on this device."""
    if precision == "fp16" and device.type != "cuda":
        raise ValueError("optim.precision = fp16 needs a CUDA device; allowed on the CPU: fp32, bf16")


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    return f"CPU, {model}"


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Mixed precision: "fp32", "bf16" or "fp16". On a CPU a network that was trained in fp16 computes in fp32."""
    if precision == "fp16" and device.type != "cuda":
        precision = "fp32"
    if precision == "bf16" and device.type == "cpu" and not bfloat16.native():
        return bfloat16.autocast()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32")


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory; without effect if it is not glibc.

    A training step frees and takes hundreds of megabytes. Giving them back to the system each time costs a sixth of a
    step on the CPU in page faults. Afterwards large blocks come from the heap, and the heap does not shrink.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
        mallopt(M_TOP_PAD, 64 << 20)
