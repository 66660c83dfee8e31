"""The study's command line: `python -m study COMMAND --help`."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from dsrl_lib.commands import PATHS, Changes, Machine, OnMachine, Start
from dsrl_lib.ending import finish
from study import measure_commands
from study.measure_commands import Profile
from study.profiles import PROFILES, known_profile

ProfileIfGiven = Annotated[
    str | None, tyro.conf.arg(metavar="|".join(PROFILES), help="The profile; of a list, smoke unless given.")
]
app = tyro.extras.SubcommandApp()


@app.command
def train(
    arm: str,
    profile: Profile = "smoke",
    host: str | None = None,
    seed: int = 0,
    changes: Changes = (),
    start: Start = None,
    machine: OnMachine = Machine(),  # noqa: B008
) -> None:
    """Train one arm, after the runs that it starts from, and print its run directory; a complete run is kept as it is.

    Args:
        arm: The arm, as in study/arms.py: lr, bilinear, sssr, sssr_sisr, dsrl, ...
        host: The host network; that of the profile unless given.
        seed: Seed of the initial weights and of the order of the data.
    """
    from dsrl_lib.runs import print_run
    from study.presets import preset

    preset(profile, arm, host, seed, changes)  # a mistake shows before torch is loaded

    from study.train import train_arm

    if start is not None:
        from dsrl_lib.deploy.pretrained import weights_path
        from dsrl_lib.training.start import keep_weights

        changes = (*changes, f"model.start={keep_weights(weights_path(start))}")
    print_run(train_arm(profile, arm, host, seed, changes, **asdict(machine)))


@app.command
def sweep(
    setting: tyro.conf.Positional[str],
    values: tyro.conf.Positional[tuple[str, ...]],
    arm: str = "dsrl",
    profile: Profile = "smoke",
    host: str | None = None,
    seeds: tuple[int, ...] = (0,),
    changes: Changes = (),
    out: Path = Path("sweep.png"),
    machine: OnMachine = Machine(),  # noqa: B008
) -> None:
    """Train one arm at several values of one setting, print their validation mIoU and draw it.

    Args:
        setting: The setting, such as loss.w2.
        values: Its values, such as 0 0.05 0.1 0.5.
        arm: The arm, as in study/arms.py: lr, bilinear, sssr, sssr_sisr, dsrl, ...
        host: The host network; that of the profile unless given.
        seeds: The seeds to train with each value.
        out: The chart to write: .png, .pdf or .svg.
    """
    from study.sweep import sweep

    table = sweep(setting, values, out, profile, arm, host, seeds, changes, **asdict(machine))
    print(table.to_string(index=False), out, sep="\n")


@app.command
def plan(profile: Profile = "smoke", scan: bool = False) -> None:
    """Print the runs of a profile, one training command per line, each after the run that it starts from.

    Args:
        scan: The runs of the share scan (`python -m study scan`) instead of those that are compared.
    """
    from study.plan import command, planned_runs, scanned_runs

    for run in scanned_runs(profile) if scan else planned_runs(profile):
        print(command(run))


@app.command
def scan(profile: Profile = "idd", machine: OnMachine = Machine()) -> None:  # noqa: B008
    """Scan the target shares of SISR and FA on val, with seeds that no comparison uses; print what each share gives.

    Complete runs are kept, so a second call continues the first one.
    """
    from study.plan import scanned_runs

    runs = scanned_runs(profile)  # a mistake shows before torch is loaded

    from study.evidence import Study
    from study.report.scan import choices, scan_table
    from study.train import train_with_parents

    for run in runs:
        train_with_parents(run.config, **asdict(machine))
    study = Study(profile)
    print(scan_table(study).to_string(index=False))
    print("\n".join(choices(study)))


@app.command
def runs(
    profile: ProfileIfGiven = None,
    compare: tuple[str, str] | None = None,
    delete: str | None = None,
    yes: bool = False,
) -> None:
    """List the runs of a profile, compare two, or delete one. A run lies in results/PROFILE/runs/ID.

    Args:
        compare: Two runs (directory or id): the settings in which they differ, and their scores.
        delete: A run to delete; the command names the runs that start from it, and asks first.
        yes: Delete without asking.
    """
    from study import manage

    def find(name: str) -> Path:
        return manage.run_of(name, profile)

    if profile is not None:
        known_profile(profile)
    if compare is not None and delete is not None:
        raise ValueError("--compare and --delete: give one of the two")
    if compare is not None:
        print(manage.compare(*map(find, compare)))
    elif delete is not None:
        directory = find(delete)
        if directory.name != Path(delete).absolute().name:  # '.' is one too
            raise ValueError(f"--delete {delete}: give the whole id, {directory.name}")
        others = manage.started_from(directory)
        start = f" ({', '.join(others)} cannot be trained again without it)" if others else ""
        if not (yes or _agreed(f"delete {directory}{start}? [y/N] ")):
            raise ValueError(f"{directory.name} was not deleted; --yes deletes it without asking")
        manage.delete(directory)
        print(f"deleted {directory.name}")
    else:
        print(manage.runs_table(profile or "smoke"))


@app.command
def collect(profile: Profile = "smoke") -> None:
    """Write results.csv of a profile from its run directories."""
    from study.report.results import write_results

    print(write_results(profile))


@app.command
def claims(profile: Profile = "camvid") -> None:
    """Judge every claim by the rules of claims.toml; write claims.csv, and the tables in README.md and REPORT.md."""
    from study.claims.table import write_claims
    from study.evidence import Study
    from study.report.texts import write_texts

    study = Study(profile)
    for path in (write_claims(study), *write_texts(study)):
        print(path)


@app.command
def release(
    run: tyro.conf.Positional[str],
    whole: bool = False,
    out: Path | None = None,
) -> None:
    """Release the weights of a complete run: a small file, its score on test, its model card; `claims` fills the card.

    Args:
        run: A run directory or its id. To train a complete run again, set DSRL_RESULTS to a new folder, and name the
            directory there.
        whole: Keep SISR head, FTM and batch norms, for the affinity explorer and for fine-tuning; the name is then
            <arm>_whole-<profile>.
        out: The folder to write; weights/ of this repository unless given.
    """
    from dsrl_lib.runs import find_run
    from study.release import release

    for path in release(find_run(run), whole, out):
        print(path)


for _command in (
    measure_commands.shares, measure_commands.interpolation, measure_commands.probe, measure_commands.latency,
):  # fmt: skip
    app.command(_command)


@app.command
def site(out: Path = Path("site")) -> None:
    """Build the site from README.md, docs, the executed notebooks and the claims; needs `pip install -e '.[site]'`.

    Args:
        out: The folder to write.
    """
    from study.site.build import build

    print(build(out.resolve()))


@app.command
def pictures() -> None:
    """Draw the pictures of README.md again, from the released weights and the results on CamVid."""
    from study.site.pictures import draw_pictures

    for path in draw_pictures():
        print(path)


@app.command
def execute(
    notebook: tyro.conf.Positional[str],
    output: tyro.conf.Positional[str],
    parameter: Annotated[tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]], tyro.conf.arg(aliases=["-p"])] = (),
) -> None:
    """Execute a notebook with papermill, strictly: an unknown parameter is an error.

    Args:
        notebook: The notebook to read.
        output: The executed notebook to write.
        parameter: Name and value of one parameter; may be repeated.
    """
    from study.execution.notebooks import execute

    execute(notebook, output, dict(parameter))


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:  # nobody can answer
        return False


def main() -> int:
    """Exit status: 0 done, 1 an error that a message explains, 2 a wrong option, 130 stopped."""
    return finish(lambda: app.cli(prog="python -m study", description=__doc__, registry=PATHS))


if __name__ == "__main__":
    sys.exit(main())
