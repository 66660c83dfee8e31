"""The options of ./run_all.sh and what they may be; what was left out is filled in from this machine."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from dsrl_lib.allowed import at_least, threads
from dsrl_lib.conflicts import check_shared_batch
from dsrl_lib.memory import free_bytes
from study import plan
from study.execution import gpus, slurm
from study.profiles import PROFILES

DRIVER, DRIVER_OF_WSL = Path("/dev/nvidiactl"), Path("/dev/dxg")
LONGEST = 8760
"""Hours of a year, which no run takes: Slurm counts in minutes of 32 bits."""
MOST_GPUS = 64
"""Of one machine, and runs on each: a plan may be of another machine, and lists a place for every run."""
SLURM_ONLY = ("partition", "account", "gpus_per_run", "gpu_type", "time")


def parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[plan.PlannedRun]]:
    """The options, and the runs that they ask for; a wrong option ends the process with status 2.

    Beside the options: `places`, a GPU of this machine for each run at once, and `each`, the GPUs of one run.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.slurm and (alone := [name for name in SLURM_ONLY if getattr(options, name) is not None]):
        here = "; here each run has one GPU, and --gpus says how many are used" * (alone[0] == "gpus_per_run")
        parser.error(f"--{alone[0].replace('_', '-')} goes with --slurm{here}")
    if empty := [name for name in SLURM_ONLY if not str(getattr(options, name)).strip()]:  # such as an unset variable
        parser.error(f"--{empty[0].replace('_', '-')} {getattr(options, empty[0])!r}: allowed: a name, or leave the "
                     "option out")  # fmt: skip
    if (options.gpus_per_run or 0) < 0:
        parser.error(f"--gpus-per-run {options.gpus_per_run}: allowed: 0 or more")
    if options.time is not None and not 0 < options.time <= LONGEST:
        parser.error(f"--time {options.time:g}: allowed: more than 0 hours, at most {LONGEST}")
    if not 1 <= options.runs_per_gpu <= MOST_GPUS or (options.slurm and options.runs_per_gpu > 1):
        parser.error(f"--runs-per-gpu {options.runs_per_gpu}: allowed: 1 to {MOST_GPUS}, and 1 with --slurm")
    if options.gpus is not None and (not 1 <= options.gpus <= MOST_GPUS or options.slurm):
        parser.error(f"--gpus {options.gpus}: allowed: 1 to {MOST_GPUS}; with --slurm, --gpus-per-run instead")
    cores = at_least(1) if options.dry_run or options.slurm else threads()  # a plan may be that of another machine
    if options.cores is not None and options.cores not in cores:
        parser.error(f"--cores {options.cores}: allowed: {cores.words}")
    options.places = _places(options)
    options.each = _gpus_of_each(options)
    for option, given in (("--gpu-type", options.gpu_type), ("--device cuda", options.device == "cuda")):
        if given and not options.each:
            parser.error(f"{option} goes with a GPU; --gpus-per-run 0 asks for none")
    options.device = options.device or ("cuda" if options.each else "cpu")
    for option, given in (("--gpus", options.gpus), ("--runs-per-gpu", options.runs_per_gpu > 1)):
        if given and options.device == "cpu":
            parser.error(f"{option} goes with a GPU; on a CPU --cores says how many runs go at once")
    try:
        runs = plan.planned_runs(options.profile, options.arms, options.seeds, options.hosts, options.device)
        for run in (run for run in runs if not run.is_complete):
            check_shared_batch(run.config, max(1, options.each))
        if options.slurm:
            slurm.check_names(options.partition, options.gpu_type)
    except ValueError as error:
        parser.error(str(error))
    options.cores = options.cores or _cores(options, runs)
    return options, runs


def _cores(options: argparse.Namespace, runs: Sequence[plan.PlannedRun]) -> int:
    """All cores; on a CPU, as many as there is memory for, since each of them trains a run."""
    cores = len(os.sched_getaffinity(0))
    largest = max((run.memory_gib for run in runs if not run.is_complete), default=0)
    if options.slurm or options.device == "cuda" or not largest:
        return cores
    return max(1, int(min(cores, free_bytes() / 2**30 / largest)))


def _places(options: argparse.Namespace) -> list[str]:
    """A GPU of this machine for each run at once; none on CPUs, and none on a cluster, which gives each job its own."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if options.slurm or options.device == "cpu":
        return []
    # WSL 2 has no device of the driver, but one of Windows for cards of any make: torch knows whether it can use it.
    there = not hidden and (DRIVER.exists() or (DRIVER_OF_WSL.exists() and not gpus.visible()[1]))
    if options.device is None and not there:
        return []
    return gpus.places(options.gpus, options.runs_per_gpu, planned=options.dry_run)


def _gpus_of_each(options: argparse.Namespace) -> int:
    """GPUs of one run."""
    if not options.slurm:
        return int(bool(options.places))
    return int(options.device != "cpu") if options.gpus_per_run is None else options.gpus_per_run


def _list_of(convert: Callable[[str], object]) -> Callable[[str], list]:
    def parse(text: str) -> list:
        return [convert(item.strip()) for item in text.split(",") if item.strip()]

    parse.__name__ = f"comma-separated {convert.__name__}"
    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run_all.sh",
        description="Train every run of a profile, execute every notebook, write tables and figures.",
        epilog="./run_all.sh lab [options of JupyterLab] opens the notebooks; ./run_all.sh site makes the site.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "profile", nargs="?", default="smoke", choices=list(PROFILES), help="what to run (default: smoke)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only list the runs with estimated time and memory")
    parser.add_argument("--arms", type=_list_of(str), metavar="A,B", help="only these arms and what they start from")
    parser.add_argument("--seeds", type=_list_of(int), metavar="0,1", help="only these seeds")
    parser.add_argument("--hosts", type=_list_of(str), metavar="H,I", help="only these hosts, at the main input size")
    parser.add_argument("--cores", type=int, metavar="N", help="CPU cores to use (default: all that memory allows)")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="where to train (default: cuda if there is a GPU)")
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs to use (default: all that CUDA shows)")
    parser.add_argument("--runs-per-gpu", type=int, default=1, metavar="N", help="runs at once on each (default: 1)")
    cluster = parser.add_argument_group("on a cluster (profiles/slurm/README.md)")
    cluster.add_argument("--slurm", action="store_true", help="submit one job per run")
    cluster.add_argument("--partition", metavar="P", help="partition of the jobs (default: the cluster's)")
    cluster.add_argument("--account", metavar="A", help="account of the jobs (default: yours)")
    cluster.add_argument("--gpus-per-run", type=int, metavar="N", help="GPUs of one run (default: 1; 0: train on CPUs)")
    cluster.add_argument("--gpu-type", metavar="T", help="such as a100 (default: any of the partition)")
    cluster.add_argument("--time", type=float, metavar="H", help="hours a run may take (default: by the estimate)")
    return parser
