"""Commands that train runs, or list those that are planned: one arm, a sweep of a setting, the share scan."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from dsrl_lib.commands import Changes, Machine, OnMachine, Start
from study.measure_commands import Host, Profile


def train(
    arm: str,
    profile: Profile = "smoke",
    host: Host = None,
    seed: int = 0,
    changes: Changes = (),
    start: Start = None,
    machine: OnMachine = Machine(),  # noqa: B008
) -> None:
    """Train one arm, after the runs that it starts from, and print its run directory; a complete run is kept as it is.

    Args:
        arm: The arm, as in study/arms.py: lr, bilinear, sssr, sssr_sisr, dsrl, ...
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


def sweep(
    setting: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SETTING")],
    values: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="VALUE ...", help_behavior_hint="")],
    arm: str = "dsrl",
    profile: Profile = "smoke",
    host: Host = None,
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
        seeds: The seeds to train with each value.
        out: The chart to write: .png, .pdf or .svg.
    """
    from study.sweep import sweep

    table = sweep(setting, values, out, profile, arm, host, seeds, changes, **asdict(machine))
    print(table.to_string(index=False), out, sep="\n")


def plan(profile: Profile = "smoke", scan: bool = False) -> None:
    """Print the runs of a profile, one training command per line, each after the run that it starts from.

    Args:
        scan: The runs of the share scan (`python -m study scan`) instead of those that are compared.
    """
    from study.plan import command, planned_runs, scanned_runs

    for run in scanned_runs(profile) if scan else planned_runs(profile):
        print(command(run))


def scan(profile: Profile = "smoke", machine: OnMachine = Machine()) -> None:  # noqa: B008
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
