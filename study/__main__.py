"""The study's command line: `python -m study COMMAND --help`."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

import sys
from pathlib import Path
from typing import Annotated

import tyro

from dsrl_lib.commands import PATHS, PathIfGiven, optional
from dsrl_lib.ending import finish
from study import measure_commands, training_commands
from study.measure_commands import Profile
from study.profiles import PROFILES, known_profile

ProfileIfGiven = Annotated[str | None, optional("|".join(PROFILES), "of a list, smoke", "The profile.")]
app = tyro.extras.SubcommandApp()
for _command in (
    training_commands.train, training_commands.sweep, training_commands.plan, training_commands.scan,
    measure_commands.shares, measure_commands.interpolation, measure_commands.probe, measure_commands.branches,
    measure_commands.latency,
):  # fmt: skip
    app.command(_command)


@app.command
def runs(
    profile: ProfileIfGiven = None,
    compare: Annotated[tuple[str, str] | None, optional("RUN RUN")] = None,
    delete: Annotated[str | None, optional("RUN")] = None,
    yes: bool = False,
) -> None:
    """List the runs of a profile, compare two, or delete one. A run is the folder results/PROFILE/runs/ID.

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
def claims(profile: Profile = "smoke") -> None:
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
    out: PathIfGiven = None,
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
    notebook: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="NOTEBOOK")],
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT")],
    parameter: Annotated[
        tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]], tyro.conf.arg(aliases=["-p"], metavar="NAME VALUE")
    ] = (),
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
    """Exit status: 0 done, 1 an error that a message explains, 2 a wrong option, 130 stopped, 143 by SIGTERM."""
    return finish(lambda: app.cli(prog="python -m study", description=__doc__, registry=PATHS))


if __name__ == "__main__":
    sys.exit(main())
