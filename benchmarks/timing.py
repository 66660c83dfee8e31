"""How long a call takes."""

import time
from collections.abc import Callable
from statistics import median


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """The median over `repeats` calls, after one to warm up. A call has to wait for its device itself."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)
