"""Progress bars, where somebody watches them: a log file gets lines instead (`training.log`)."""

import builtins
import os
import sys
from typing import Any

from tqdm import tqdm

PASSED_ON = "DSRL_PROGRESS"
"""Set for a process whose stderr another one passes on to where bars are shown (`training.launch`)."""


def shows_bars() -> bool:
    """Whether stderr ends in a terminal or a notebook."""
    return sys.stderr.isatty() or hasattr(builtins, "__IPYTHON__") or PASSED_ON in os.environ


def bar(*arguments: Any, disable: bool = False, **options: Any) -> tqdm:
    """`tqdm(...)`, silent where nobody would see it move."""
    return tqdm(*arguments, disable=disable or not shows_bars(), **options)
