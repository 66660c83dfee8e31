"""Ask the C library to keep freed memory: a training step frees and takes hundreds of megabytes, and giving them back
to the system each time costs a sixth of a step on the CPU in page faults."""

import ctypes
import sys
from contextlib import suppress

# Names and numbers of <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Large blocks come from the heap, and the heap does not shrink. Without effect where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
        mallopt(M_TOP_PAD, 64 << 20)
