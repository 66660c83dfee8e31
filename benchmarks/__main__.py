"""Speeds as ratios to a named rival, measured now: ``python -m benchmarks [WHAT]``."""

import sys
from typing import Annotated, Literal

import tyro

from dsrl_lib.allowed import check
from dsrl_lib.allowed import threads as allowed_threads
from dsrl_lib.commands import PATHS, PathIfGiven
from dsrl_lib.ending import finish


def bench(
    what: Annotated[
        Literal[
            "all", "affinity", "relaxation", "relaxed_step", "downsampling", "loader", "training", "stages", "pruning"
        ],
        tyro.conf.Positional,
        tyro.conf.arg(
            help="Feature affinity against the direct form; label relaxation against cross entropy, alone and in a "
            "training step; adaptive downsampling against SciPy; loading against decoding; training images/s by host; "
            "the stages of DSRL against the host alone; pruned against full networks."
        ),
    ] = "all",
    threads: int = 2,
    dootmaan: PathIfGiven = None,
    sanje2v: PathIfGiven = None,
) -> None:
    """Print speeds as ratios to a named rival, measured now.

    Args:
        threads: Threads of PyTorch.
        dootmaan: A checkout of Dootmaan/DSRL, to train it beside ours in `stages`.
        sanje2v: A checkout of sanje2v/DualSuperResLearningForSemSeg, likewise.
    """
    check("threads", threads, Annotated[int, allowed_threads()])

    from benchmarks.report import report

    report(what, threads, {"dootmaan": dootmaan, "sanje2v": sanje2v})


def main() -> int:
    """Exit status: 0 done, 1 an error that a message explains, 2 a wrong option, 130 stopped, 143 by SIGTERM."""
    return finish(lambda: tyro.cli(bench, prog="python -m benchmarks", registry=PATHS))


if __name__ == "__main__":
    sys.exit(main())
