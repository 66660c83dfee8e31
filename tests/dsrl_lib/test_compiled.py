"""Compiled loops: where their machine code can be kept, and where it cannot."""

import numpy as np

from dsrl_lib.compiled import SUMS, compiled

SOURCE = "def total(x):\n    found = 0.0\n    for value in x:\n        found += value\n    return found\n"


def test_a_loop_is_compiled_even_if_its_machine_code_cannot_be_kept():
    names: dict = {}
    exec(SOURCE, names)  # of no file, so numba finds no folder for a cache
    total = compiled(fastmath=SUMS)(names["total"])
    assert total(np.arange(5.0)) == 10 and np.isnan(total(np.array([1.0, np.nan])))
