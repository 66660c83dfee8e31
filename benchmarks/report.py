"""Print the benchmarks: what was measured, on which device, and the ratio to a rival named in the same table."""

from collections.abc import Callable

import pandas as pd
import torch

from benchmarks.affinity import affinity_bench
from benchmarks.downsampling import downsampling_bench
from benchmarks.loader import loader_bench
from benchmarks.networks import pruning_bench, training_bench
from benchmarks.relaxation import relaxation_bench
from benchmarks.stages import stages_bench
from dsrl_lib.device import device_name, pick_device

Rows = list[dict[str, str | float]]

BENCHES: dict[str, tuple[str, Callable[[], Rows]]] = {
    "affinity": ("Feature affinity, forward and backward, against the direct N x N form", affinity_bench),
    "relaxation": ("Label relaxation, forward and backward, against cross entropy", relaxation_bench),
    "downsampling": ("Adaptive downsampling, the solver and the way back, against SciPy", downsampling_bench),
    "loader": ("Loading CamVid from the cache against decoding, one thread", lambda: loader_bench("camvid", "val")),
    "training": ("Training with DSRL by host, LR 180x240, batch 8, against ESPNetv2 s=1.0", training_bench),
    "stages": ("A training step by stage, CPU time against the host alone", stages_bench),
    "pruning": ("Inference of one frame, full against pruned network, LR 180x240", pruning_bench),
}


def report(what: str, threads: int) -> None:
    """Run one benchmark of BENCHES, or "all" of them, and print one table each."""
    torch.set_num_threads(threads)
    device = pick_device("auto")
    print(f"{device_name(device)}, {threads} threads, torch {torch.__version__}")
    for name, (title, measure) in BENCHES.items():
        if what in (name, "all"):
            table = pd.DataFrame(measure()).to_string(index=False, float_format="{:.3g}".format)
            print(f"\n{title}\n{table}", flush=True)
