"""Loops that numba compiles at their first use."""

from collections.abc import Callable
from typing import Any

import numba

SUMS = {"reassoc", "contract", "nsz"}
"""For `fastmath`: sums may become vector instructions; NaN and infinity keep their meaning."""


def compiled(**options: Any) -> Callable[[Callable], Callable]:
    """Decorator: `numba.njit` without the GIL. The machine code is cached on disk if a folder can be written."""

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # no writable folder for the machine code
            return numba.njit(nogil=True, **options)(function)

    return decorate
