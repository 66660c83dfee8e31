"""What ./run_all.sh does once there is an environment: list the runs, run the notebooks, open JupyterLab."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from pathlib import Path

from dsrl_lib.ending import finish
from dsrl_lib.paths import check_folder, moved_folders, results_dir, root
from study import plan
from study.execution import slurm, warm
from study.execution.options import parsed

CORES_PER_GPU = 4  # to load samples
TO_READ = ("notebooks/00_start_here.ipynb", "notebooks/41_main_results.ipynb", "results.csv", "tables", "figures")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 a step failed or an error that a message explains, 2 a wrong option, 130 stopped, 143 by
    SIGTERM."""
    return finish(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["lab"]:
        return _lab(arguments[1:])
    if arguments[:1] == ["site"]:
        os.execv(sys.executable, [sys.executable, "-m", "study", *arguments])
    options, runs = parsed(arguments)
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
    lines += _total_on_slurm(runs, left, options) if options.slurm else _total_here(runs, left, options)
    if not left:
        lines.append("To train them again, set DSRL_RESULTS to a new folder.")
    return "\n".join(lines)


def _total_on_slurm(
    runs: Sequence[plan.PlannedRun], left: Sequence[plan.PlannedRun], options: argparse.Namespace
) -> list[str]:
    hours, all_hours = (sum(run.seconds for run in part) / 3600 for part in (left, runs))
    every = [f"All {len(runs)}: about {all_hours:.1f} hours."] if len(left) < len(runs) else []
    return [
        f"{options.profile} on Slurm: {len(runs)} jobs, {len(left)} to do in about {hours:.1f} hours of "
        f"{plan.MEASURED_ON[options.device]}, at least {_duration(_longest_chain(left))} one after the other",
        *every,
    ]


def _total_here(
    runs: Sequence[plan.PlannedRun], left: Sequence[plan.PlannedRun], options: argparse.Namespace
) -> list[str]:
    at_once = _at_once(options)
    memory = max(run.memory_gib for run in runs)
    every = [f"All {len(runs)} runs: about {_duration(_time(runs, at_once))}."] if len(left) < len(runs) else []
    return [
        f"{options.profile} on {options.device}, {at_once} at a time: {len(runs)} runs, {len(left)} to do "
        f"in about {_duration(_time(left, at_once))}, with up to {memory:.1f} GiB each; then the other notebooks.",
        *every,
    ]


def _study(options: argparse.Namespace) -> int:
    """Run the Snakefile; a lock keeps two studies of one profile apart and dies with its process."""
    from filelock import FileLock, Timeout

    from study.execution import stopping
    from study.execution.progress import LogHandler

    if not os.access(root(), os.W_OK):
        raise PermissionError(
            f"nothing can be written in {root()}, where Snakemake keeps its notes: use your own clone; "
            "DSRL_DATA, DSRL_WEIGHTS and an active environment may be shared"
        )
    results = results_dir() / options.profile
    results.mkdir(parents=True, exist_ok=True)
    _move_cache(options)
    success = False
    try:
        with FileLock(results / ".lock", timeout=0), _warm_where_useful(options), stopping.noticed() as signals:
            success = _snakemake(options)
    except Timeout:
        print(f"error: another ./run_all.sh {options.profile} is at work in {results}", file=sys.stderr)
        return 1
    if signals:
        print("stopped: the same command continues from here", file=sys.stderr)
        return 128 + signals[0]
    if not success:
        print("A step failed. The same command continues from where this one stopped." if LogHandler.any_failed
              else "The study could not be run: the reason is above.")  # fmt: skip
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
        parser, chosen = parse_args(["--logger=study", *where, f"--cores={options.cores}", "--config", *config])
    return args_to_api(chosen, parser)


def _move_cache(options: argparse.Namespace) -> None:
    """Snakemake's cache goes into the checkout where that of the home folder cannot be written, perhaps on a node."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        check_folder(usual / "snakemake", "the cache")
        writable = True
    except OSError:
        writable = False
    if options.slurm or not writable:
        os.environ["XDG_CACHE_HOME"] = str(root() / ".snakemake" / "cache")


def _warm_where_useful(options: argparse.Namespace) -> AbstractContextManager[None]:
    """On CPUs every step has one thread; a process forked for a GPU would share the state of its driver."""
    if options.slurm or options.device == "cuda" or not warm.possible():
        return nullcontext()
    return warm.server()


def _at_once(options: argparse.Namespace) -> int:
    """Runs at a time on this machine."""
    return min(len(options.places) or options.cores, options.cores)


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
