"""The GPUs of this machine, and one of them for each run.

`python -m study.execution.gpus FOLDER PLACES MODULE [ARGUMENT ...]` is `python -m MODULE [ARGUMENT ...]` on one GPU,
the only one that it sees. PLACES names each GPU once for every run that it may have at a time. A process that has a
place holds a lock file in FOLDER, which the system releases when the process ends, however it ends.
"""

import os
import runpy
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from dsrl_lib.paths import root


def places(number: int | None, runs: int, planned: bool) -> list[str]:
    """Names of so many GPUs of this machine, or of all, each of them `runs` times.

    ValueError if there are too few, or none that torch can use. planned: for a plan, which may be of another machine.
    """
    found, why = visible()
    if why and not planned:
        raise ValueError(f"--device cuda: {why}; allowed: cpu")
    found = found or [str(gpu) for gpu in range(number or 1)]
    if (number or 1) > len(found):
        raise ValueError(f"--gpus {number}; allowed: 1 to {len(found)}, the number of GPUs that torch finds here")
    return found[:number] * runs


def visible() -> tuple[list[str], str]:
    """The GPUs that torch finds, by their names in CUDA_VISIBLE_DEVICES, and why it cannot use them; "" if it can."""
    look = "from dsrl_lib.device import cuda_devices, why_no_cuda; print(why_no_cuda(), *cuda_devices(), sep='\\n')"
    # In a process of its own: nothing here loads torch.
    found = subprocess.run([sys.executable, "-c", look], cwd=root(), capture_output=True, text=True)
    if found.returncode:
        return [], f"torch cannot be loaded: {found.stderr.strip().rpartition(chr(10))[2]}"
    why, *names = found.stdout.splitlines()
    return names, why


def main(folder: str, places: str, module: str, *arguments: str) -> None:
    """Run the module once there is a free place. It ends this process with its own status."""
    gpu, held = _take(Path(folder), places.split(","))
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before anything initialises CUDA
    sys.argv = [module, *arguments]
    with held:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _take(folder: Path, places: Sequence[str]) -> tuple[str, AbstractContextManager]:
    """The GPU of the first free place, and the lock that is held."""
    from filelock import FileLock, Timeout  # lazy: --help of the study needs no environment

    waiting = False
    while True:
        for place, gpu in enumerate(places):
            number = places[:place].count(gpu)
            with suppress(Timeout):
                return gpu, FileLock(folder / f".gpu-{gpu.replace('/', '_')}-{number}.lock").acquire(timeout=0)
        if not waiting:
            names = ", ".join(dict.fromkeys(places))
            print(f"waiting: other runs have all places on the GPUs {names}", file=sys.stderr, flush=True)
        waiting = True
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
