"""Command line: ``python -m dsrl_lib COMMAND --help``. Every command is one function call; imports are lazy."""

import sys
from typing import Annotated, Literal

import tyro

from dsrl_lib import weights_commands

app = tyro.extras.SubcommandApp()
Repeated = tyro.conf.UseAppendAction


@app.command
def train(
    arm: str,
    profile: str = "smoke",
    host: str | None = None,
    seed: int = 0,
    set_: Annotated[Repeated[tuple[str, ...]], tyro.conf.arg(name="set", metavar="SECTION.KEY=VALUE")] = (),
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    devices: int = 1,
) -> None:
    """Train one arm to a complete run directory and print it; a complete run is returned at once.

    Args:
        arm: The arm, as in study tables: lr, bilinear, sssr, sssr_sisr, dsrl, ...
        profile: smoke, camvid or cityscapes.
        host: Host network; the profile's own unless given.
        seed: Seed of the initial weights and of the data order.
        set_: Another value for one setting; may be repeated.
        device: Where to train.
        workers: Processes that load samples; results do not depend on them.
        devices: Processes, each with a device of its own, that share the run.
    """
    from study.presets import preset

    config = preset(profile, arm, host, seed, set_)  # a mistake shows before torch is loaded

    from study.train import train_with_parents

    print(train_with_parents(config, device=device, workers=workers, devices=devices))


@app.command
def resume(
    run: tyro.conf.Positional[str],
    set_: Annotated[Repeated[tuple[str, ...]], tyro.conf.arg(name="set", metavar="SECTION.KEY=VALUE")] = (),
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    devices: int = 1,
) -> None:
    """Go on with a run that was cut off: exactly, or with changed settings as a new run that says so.

    Args:
        run: Directory or id of the run.
        set_: Another value for one setting of the schedule or the loss; may be repeated.
        device: Where to train.
        workers: Processes that load samples; results do not depend on them.
        devices: Processes, each with a device of its own, that share the run.
    """
    from dsrl_lib.runs import find_run
    from dsrl_lib.training.resume import resume

    print(resume(find_run(run), set_, device=device, workers=workers, devices=devices))


@app.command
def runs(
    profile: str = "smoke",
    compare: tuple[str, str] | None = None,
    delete: str | None = None,
    yes: bool = False,
) -> None:
    """List the runs of a profile, compare two, or delete one.

    Args:
        profile: smoke, camvid or cityscapes.
        compare: Two runs (directory or id): the settings in which they differ, and their scores.
        delete: A run to delete; asks first.
        yes: Delete without asking.
    """
    from dsrl_lib.runs import find_run
    from study import manage

    if compare:
        print(manage.compare(*map(find_run, compare)))
    elif delete:
        directory = find_run(delete)
        if yes or input(f"delete {directory}? [y/N] ").strip().lower() in ("y", "yes"):
            manage.delete(directory)
            print(f"deleted {directory.name}")
        else:
            raise ValueError("nothing was deleted")
    else:
        print(manage.table(profile))


for _command in weights_commands.COMMANDS:
    app.command(_command)


@app.command
def plan(profile: str = "smoke") -> None:
    """Print the runs of a profile, one training command a line, each after the run it starts from."""
    from study import plan

    for run in plan.planned_runs(profile):
        print(plan.command(run))


@app.command
def latency(profile: str = "camvid", device: Literal["cpu", "cuda"] = "cpu") -> None:
    """Measure the latencies of all finished runs of a profile again, in turn. Nothing else should run meanwhile."""
    from study.latency import remeasure

    runs, networks = remeasure(profile, device)
    print(f"{networks} networks measured for {runs} runs; `collect` and `claims` take the new numbers up")


@app.command
def collect(profile: str = "smoke") -> None:
    """Write results.csv of a profile from its run directories."""
    from study.report.results import write_results

    print(write_results(profile))


@app.command
def claims(profile: str = "camvid") -> None:
    """Judge every claim by the rules of claims.toml; write claims.csv, and the tables in README.md and REPORT.md."""
    from study.claims.table import write_claims
    from study.evidence import Study
    from study.report.texts import write_texts

    study = Study(profile)
    for path in (write_claims(study), *write_texts(study)):
        print(path)


@app.command
def bench(what: Literal["all", "affinity", "training", "loader", "pruning"] = "all", threads: int = 2) -> None:
    """Print speeds as ratios against a named rival, measured in this run.

    Args:
        what: Feature affinity against the direct form, training images/s by host, loading against decoding, or
            pruned against full networks.
        threads: Threads of PyTorch.
    """
    from benchmarks.report import report

    report(what, threads)


@app.command
def execute(
    notebook: tyro.conf.Positional[str],
    output: tyro.conf.Positional[str],
    parameter: Annotated[Repeated[tuple[tuple[str, str], ...]], tyro.conf.arg(aliases=["-p"])] = (),
) -> None:
    """Execute a notebook with papermill, strictly: an unknown parameter is an error.

    Args:
        notebook: The notebook to read.
        output: Where the executed notebook goes.
        parameter: Name and value of one parameter; may be repeated.
    """
    from study.execution.notebooks import execute

    execute(notebook, output, dict(parameter))


def main() -> int:
    """Exit status: 0 done, 1 an error that a message explains, 2 a wrong option."""
    try:
        app.cli(prog="python -m dsrl_lib", description=__doc__)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
