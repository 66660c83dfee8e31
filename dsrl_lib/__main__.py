"""The method's command line: `python -m dsrl_lib COMMAND --help`."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

import sys
from dataclasses import asdict
from pathlib import Path

import tyro

from dsrl_lib import data_commands, network_commands
from dsrl_lib.commands import PATHS, Changes, Machine, OnMachine, Start
from dsrl_lib.ending import finish


def train(
    config: tyro.conf.Positional[Path],
    changes: Changes = (),
    start: Start = None,
    machine: OnMachine = Machine(),  # noqa: B008
) -> None:
    """Train the run of a configuration and print its directory; a complete run is kept as it is.

    Args:
        config: A JSON file like config.json of a run; a setting that it lacks has its default.
    """
    from dsrl_lib.overrides import override, override_all
    from dsrl_lib.runs import print_run, read_config

    settings = override_all(read_config(config), changes)  # a mistake shows before torch is loaded

    if start is not None and settings.warm_start is not None:
        raise ValueError(f"--start {start}, but {config} starts from the run {settings.warm_start}; allowed: one "
                         "of the two")  # fmt: skip

    from dsrl_lib.training.fit import fit

    if start is not None:
        from dsrl_lib.deploy.pretrained import weights_path
        from dsrl_lib.training.start import keep_weights

        settings = override(settings, "model.start", keep_weights(weights_path(start)))
    print_run(fit(settings, **asdict(machine)))


def resume(
    run: tyro.conf.Positional[str],
    changes: Changes = (),
    machine: OnMachine = Machine(),  # noqa: B008
) -> None:
    """Continue an interrupted run: exactly, or with changed settings as a new run that says so.

    Args:
        run: Directory or id of the run.
    """
    from dsrl_lib.runs import find_run, print_run
    from dsrl_lib.training.resume import resume

    print_run(resume(find_run(run), changes, **asdict(machine)))


app = tyro.extras.SubcommandApp()
for command in (
    train,
    resume,
    data_commands.samples,
    data_commands.statistics,
    network_commands.predict,
    network_commands.evaluate,
    data_commands.propagate,
    network_commands.submit,
    network_commands.prune,
    network_commands.inspect,
    network_commands.summary,
    network_commands.export,
    network_commands.speed,
):
    app.command(command)


def main() -> int:
    """Exit status: 0 done, 1 an error that a message explains, 2 a wrong option, 130 stopped, 143 by SIGTERM."""
    prog = "dsrl" if Path(sys.argv[0]).stem == "dsrl" else "python -m dsrl_lib"
    return finish(lambda: app.cli(prog=prog, description=__doc__, registry=PATHS))


if __name__ == "__main__":
    sys.exit(main())
