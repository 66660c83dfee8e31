"""What ./run_all.sh does once there is an environment: list the runs, run the notebooks, open JupyterLab."""

import argparse
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from pathlib import Path

from dsrl_lib.conflicts import check_shared_batch
from dsrl_lib.ending import finish
from dsrl_lib.paths import moved_folders, results_dir, root
from study import plan
from study.execution import gpus, slurm, warm
from study.profiles import PROFILES

CORES_PER_GPU = 4  # to load samples
DRIVER = Path("/dev/nvidiactl")
SLURM_ONLY = ("partition", "account", "gpus_per_run", "gpu_type", "time")
TO_READ = ("notebooks/00_start_here.ipynb", "notebooks/41_main_results.ipynb", "results.csv", "tables", "figures")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 a step failed or an error that a message explains, 2 a wrong option, 130 stopped."""
    return finish(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["lab"]:
        return _lab(arguments[1:])
    if arguments[:1] == ["site"]:
        os.execv(sys.executable, [sys.executable, "-m", "study", *arguments])
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.slurm and (alone := [name for name in SLURM_ONLY if getattr(options, name) is not None]):
        here = "; here each run has one GPU, and --gpus says how many are used" * (alone[0] == "gpus_per_run")
        parser.error(f"--{alone[0].replace('_', '-')} goes with --slurm{here}")
    if empty := [name for name in SLURM_ONLY if getattr(options, name) == ""]:  # such as an unset variable
        parser.error(f"--{empty[0].replace('_', '-')} '': allowed: a name, or leave the option out")
    if (options.gpus_per_run or 0) < 0 or (options.time is not None and not 0 < options.time < math.inf):
        parser.error("--gpus-per-run is 0 or more, --time more than 0 hours")
    if options.runs_per_gpu < 1 or (options.slurm and options.runs_per_gpu > 1):
        parser.error(f"--runs-per-gpu {options.runs_per_gpu}: allowed: 1 or more, and 1 with --slurm")
    if options.gpus is not None and (options.gpus < 1 or options.slurm):
        parser.error(f"--gpus {options.gpus}: allowed: 1 or more; with --slurm, --gpus-per-run instead")
    if options.cores < 1:
        parser.error(f"--cores {options.cores}: allowed: 1 or more")
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
    if options.dry_run:
        print(plan_table(runs, options))
        return 0
    return _study(options)


def plan_table(runs: Sequence[plan.PlannedRun], options: argparse.Namespace) -> str:
    """The runs with their estimated time, memory and GPUs, and what is left to do in total."""
    left = [run for run in runs if not run.is_complete]
    needs = f" {options.each} {_gpu_type(options)}" if options.each else ""
    lines = [
        f"{_duration(run.seconds):>10} {run.memory_gib:5.1f} GiB{needs}  {run.label}" + " (complete)" * run.is_complete
        for run in runs
    ]
    if options.slurm:
        hours = sum(run.seconds for run in left) / 3600
        lines.append(
            f"{options.profile} on Slurm: {len(runs)} jobs, {len(left)} to do in about {hours:.1f} hours of "
            f"{plan.MEASURED_ON[options.device]}, at least {_duration(_longest_chain(left))} one after the other"
        )
        if len(left) < len(runs):
            lines.append(f"All {len(runs)}: about {sum(run.seconds for run in runs) / 3600:.1f} hours.")
        return "\n".join(lines)
    at_once = _at_once(options)
    memory = max(run.memory_gib for run in runs)
    lines += [
        f"{options.profile} on {options.device}, {at_once} at a time: {len(runs)} runs, {len(left)} to do "
        f"in about {_duration(_time(left, at_once))}, with up to {memory:.1f} GiB each; then the other notebooks.",
    ]
    if len(left) < len(runs):
        lines.append(f"All {len(runs)} runs: about {_duration(_time(runs, at_once))}.")
    return "\n".join(lines)


def _study(options: argparse.Namespace) -> int:
    """Run the Snakefile; a lock keeps two studies of one profile apart and dies with its process."""
    from filelock import FileLock, Timeout

    results = results_dir() / options.profile
    results.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(results / ".lock", timeout=0), _warm_where_useful(options):
            success = _snakemake(options)
    except Timeout:
        print(f"error: another ./run_all.sh {options.profile} is at work in {results}", file=sys.stderr)
        return 1
    if not success:
        print("A step failed. The same command continues from where this one stopped.")
        return 1
    print(f"{options.profile} is complete. To read:")
    for name in TO_READ:
        if (results / name).exists():
            print(f"    {os.path.relpath(results / name)}")
    return 0


def _snakemake(options: argparse.Namespace) -> bool:
    """Whether every step succeeded."""
    from snakemake.cli import args_to_api, parse_args
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    from study.execution import progress

    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_study", progress)
    threads = CORES_PER_GPU * options.each if options.slurm else options.cores // _at_once(options)
    threads = threads if options.device == "cuda" else 1
    config = [f"profile={options.profile}", f"device={options.device}", f"threads={threads}", f"gpus={options.each}"]
    config += [f"gpu_places={','.join(options.places)}"] if options.places else []
    config += [f"hours={options.time}"] if options.time else []
    config += [f"gpu_type={options.gpu_type}"] if options.gpu_type else []
    for name in ("arms", "seeds", "hosts"):
        chosen = getattr(options, name)
        config += [f"{name}={','.join(map(str, chosen))}"] if chosen else []
    os.environ.update(moved_folders())
    os.chdir(root())
    if options.slurm:
        where = slurm.executor_options(options.partition, options.account)
        slurm.tell_ended_jobs()
        slurm.ask_steadily()
    else:
        where = ["--workflow-profile=profiles/local", f"--resources=gpu={max(1, len(options.places))}"]
    with redirect_stderr(io.StringIO()):  # it says which profile it uses
        parser, parsed = parse_args(["--logger=study", *where, f"--cores={options.cores}", "--config", *config])
    return args_to_api(parsed, parser)


def _warm_where_useful(options: argparse.Namespace) -> AbstractContextManager[None]:
    """On CPUs every step has one thread; a process forked for a GPU would share the state of its driver."""
    return nullcontext() if options.slurm or options.device == "cuda" else warm.server()


def _places(options: argparse.Namespace) -> list[str]:
    """A GPU of this machine for each run at once; none on CPUs, and none on a cluster, which gives each job its own."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if options.slurm or options.device == "cpu" or (options.device is None and (hidden or not DRIVER.exists())):
        return []
    return gpus.places(options.gpus, options.runs_per_gpu, planned=options.dry_run)


def _at_once(options: argparse.Namespace) -> int:
    """Runs at a time on this machine."""
    return min(len(options.places) or options.cores, options.cores)


def _gpus_of_each(options: argparse.Namespace) -> int:
    """GPUs of one run."""
    if not options.slurm:
        return int(bool(options.places))
    return int(options.device != "cpu") if options.gpus_per_run is None else options.gpus_per_run


def _gpu_type(options: argparse.Namespace) -> str:
    """The GPU that is asked for, or those of the partition, such as "GPU (a100 or h100)"."""
    if options.gpu_type or not options.slurm:
        return options.gpu_type or "GPU"
    types = slurm.gpu_types(options.partition)
    return f"GPU ({' or '.join(types)})" if types else "GPU"


def _lab(arguments: Sequence[str]) -> int:
    """JupyterLab on this machine only, in this environment; more arguments go to it."""
    first = "/lab/tree/notebooks/00_start_here.ipynb"
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root()}"]
    command += [f"--LabApp.default_url={first}", *(["--allow-root"] if os.getuid() == 0 else [])]
    os.execv(sys.executable, [*command, *arguments])


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
    parser.add_argument("--hosts", type=_list_of(str), metavar="H", help="only these hosts, at the main input size")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--cores", type=int, default=cores, metavar="N", help=f"CPU cores to use (default: {cores})")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="where to train (default: cuda if there is a GPU)")
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs to use (default: all that CUDA shows)")
    parser.add_argument("--runs-per-gpu", type=int, default=1, metavar="N", help="runs at once on each (default: 1)")
    cluster = parser.add_argument_group("on a cluster (profiles/slurm/README.md)")
    cluster.add_argument("--slurm", action="store_true", help="submit one job per run")
    cluster.add_argument("--partition", metavar="P", help="partition of the jobs (default: the cluster's)")
    cluster.add_argument("--account", metavar="A", help="account of the jobs (default: yours)")
    cluster.add_argument("--gpus-per-run", type=int, metavar="N", help="0: train on CPUs; more than 1 share a run")
    cluster.add_argument("--gpu-type", metavar="T", help="such as a100 (default: any of the partition)")
    cluster.add_argument("--time", type=float, metavar="H", help="hours a run may take (default: by the estimate)")
    return parser


def _time(runs: Sequence[plan.PlannedRun], at_once: int) -> float:
    """Seconds for so many runs at a time."""
    return max(sum(run.seconds for run in runs) / at_once, _longest_chain(runs))


def _longest_chain(runs: Sequence[plan.PlannedRun]) -> float:
    """Seconds of the longest sequence of runs that start from one another; parents come first in `runs`."""
    until: dict[str | None, float] = {}
    for run in runs:
        until[run.run_id] = until.get(run.parent, 0.0) + run.seconds
    return max(until.values(), default=0.0)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


if __name__ == "__main__":
    sys.exit(main())
