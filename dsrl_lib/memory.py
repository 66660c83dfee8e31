"""How much memory a process can still take."""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUP_FILES = {
    "": ("memory.max", "memory.current", ("active_file", "inactive_file")),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
}
"""By the controllers of a control group, "" for version 2: the files of its limit and use, and what its memory.stat
calls the files that the system keeps."""


def free_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Memory that this process can still take, by the system and by the control groups that it is in, such as that of a
    Slurm job; infinite if none says."""
    free = math.inf
    with suppress(OSError, ValueError, StopIteration):
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return min([free, *_of_groups(proc, groups)])


def _of_groups(proc: Path, groups: Path) -> Iterator[float]:
    """What each group that has a limit leaves: that of the process, and those around it."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            kind = "memory" if "memory" in controllers.split(",") else controllers
            if kind in GROUP_FILES:
                inner = groups / kind / path.lstrip("/")
                for group in (inner, *inner.parents):  # in a container the path may be one of the host: the top is ours
                    yield from _left(group, *GROUP_FILES[kind])
                    if group == groups / kind:
                        break


def _left(group: Path, most: str, used: str, kept: tuple[str, ...]) -> Iterator[float]:
    with suppress(OSError, ValueError):  # "max" is no limit
        limit, use = (int((group / name).read_text()) for name in (most, used))
        parts = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        files = sum(int(size) for name, size in parts if name in kept)
        yield limit - use + files  # what the system keeps of files goes when it is needed
