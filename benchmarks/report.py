"""Print the benchmarks: what was measured, on which device, and the ratio to a rival named in the same table."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch

from benchmarks.affinity import affinity_bench
from benchmarks.downsampling import downsampling_bench
from benchmarks.loader import loader_bench
from benchmarks.networks import pruning_bench, training_bench
from benchmarks.relaxation import relaxation_bench, relaxed_step_bench
from benchmarks.rivals import check_checkout, rivals_bench
from benchmarks.stages import stages_bench
from dsrl_lib.data.split import load_split
from dsrl_lib.device import device_name, keep_freed_memory, pick_device

LOADED = ("camvid", "val")
Rows = list[dict[str, str | float]]

BENCHES: dict[str, tuple[str, Callable[[], Rows]]] = {
    "affinity": ("Feature affinity, forward and backward, against the direct N x N form", affinity_bench),
    "relaxation": ("Label relaxation, forward and backward, against cross entropy", relaxation_bench),
    "relaxed_step": ("A training step with label relaxation against cross entropy", relaxed_step_bench),
    "downsampling": ("Adaptive downsampling, the solver and the way back, against SciPy", downsampling_bench),
    "loader": ("Loading CamVid from the cache against decoding, one thread", lambda: loader_bench(*LOADED)),
    "training": ("Training with DSRL by host, LR 180x240, batch 8, against ESPNetv2 s=1.0", training_bench),
    "stages": ("A training step by stage, CPU time against the host alone", stages_bench),
    "pruning": ("Inference of one frame, full against pruned network, LR 180x240", pruning_bench),
}


BESIDE_RIVALS = "A training step of all of DSRL, LR 128x256, batch 2, CPU time against two reimplementations"


def report(what: str, threads: int, rivals: Mapping[str, Path | None]) -> None:
    """Run one benchmark of BENCHES, or "all" of them, and print one table each.

    rivals: checkouts by name, or None, see `rivals_bench`; the given ones are compared after "stages".
    Raises ValueError for a rival beside another benchmark, or a path without its files; DataError without CamVid.
    """
    given = {name: path for name, path in rivals.items() if path is not None}
    if given and what not in ("stages", "all"):
        raise ValueError(f"--{next(iter(given))} with {what!r}; allowed: with stages or all")
    for name, path in given.items():
        check_checkout(name, path)
    if what in ("loader", "all"):
        load_split(*LOADED)  # before anything is measured
    torch.set_num_threads(threads)
    keep_freed_memory()  # as training does
    device = pick_device("auto")
    print(f"{device_name(device)}, {threads} threads, torch {torch.__version__}")
    for name, (title, measure) in BENCHES.items():
        if what in (name, "all"):
            _print(title, measure())
        if given and name == "stages":
            _print(BESIDE_RIVALS, rivals_bench(given))


def _print(title: str, rows: Rows) -> None:
    table = pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format)
    print(f"\n{title}\n{table}", flush=True)
