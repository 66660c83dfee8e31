"""How much memory a process can still take."""

import math
from contextlib import suppress
from pathlib import Path


def free_bytes(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> float:
    """Memory that this process can still take, by the system and by its control group; infinite if neither says."""
    free = math.inf
    with suppress(OSError, ValueError, StopIteration):
        free = next(1024 * int(x.split()[1]) for x in proc.read_text().splitlines() if x.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):  # "max" is no limit
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        parts = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        files = sum(int(size) for name, size in parts if name in ("active_file", "inactive_file"))
        free = min(free, limit - used + files)  # what the system keeps of files goes when it is needed
    return free
