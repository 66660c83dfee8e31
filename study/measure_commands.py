"""Commands that measure networks: gradient shares, what interpolation and linear maps restore, latencies."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

from typing import Annotated, Literal

import tyro

from dsrl_lib.commands import Changes, Device, optional
from study.profiles import PROFILES, known_profile

Profile = Annotated[str, tyro.conf.arg(metavar="|".join(PROFILES), help="The profile.")]
Host = Annotated[str | None, optional("HOST", "that of the profile", "The host network.")]


def shares(
    arm: str,
    profile: Profile = "smoke",
    host: Host = None,
    seed: int = 0,
    changes: Changes = (),
    device: Device = "auto",
) -> None:
    """Print how strongly each loss term of an arm acts on the shared encoder: at its start, and at its end if trained.

    Args:
        arm: The arm, as in study/arms.py; or "fa", to write gradient_shares.csv for every cell of the FA factorial.
            The run that an arm starts from has to be trained.
        seed: Seed of the initial weights and of the batch.
    """
    from study.presets import preset

    if arm == "fa":
        if host is not None or changes:
            raise ValueError("--host and --set go with one arm; --arm fa measures the cells as the profile plans them")
        known_profile(profile)  # a mistake shows before torch is loaded

        from study.shares import write_shares

        print(write_shares(profile, seed, device))
        return
    config = preset(profile, arm, host, seed, changes)  # a mistake shows before torch is loaded

    from study.shares import shares_table

    print(shares_table(config, device).to_string(index=False, float_format="%.4g"))


def interpolation(profile: Profile = "smoke") -> None:
    """Write what interpolation restores at the inputs of a profile, for runs that did not record it."""
    known_profile(profile)  # a mistake shows before torch is loaded

    from study.interpolation import write_interpolation

    print(write_interpolation(profile))


def probe(profile: Profile = "smoke", arm: str = "sssr", seed: int = 0) -> None:
    """Write what a linear map reads of the HR image from each map of a trained encoder, beside interpolation.

    Args:
        arm: Whose encoder; its weights have to be here, as released ones are.
        seed: Of the run.
    """
    from study.presets import preset

    preset(profile, arm, seed=seed)  # a mistake shows before torch is loaded

    from study.probe import write_taps

    print(write_taps(profile, arm, seed))


def branches(profile: Profile = "smoke", arm: str = "dsrl", seed: int = 0) -> None:
    """Write what the SISR branch of an arm restores with the encoder's maps of a frame, and with those of another one.

    Args:
        arm: Whose branch; its weights have to be here, with the branch.
        seed: Of the run.
    """
    from study.presets import preset

    preset(profile, arm, seed=seed)  # a mistake shows before torch is loaded

    from study.branches import write_branch

    print(write_branch(profile, arm, seed))


def latency(
    profile: Profile = "smoke",
    device: Literal["cpu", "cuda"] = "cpu",
    turns: int = 9,
    match: Annotated[str | None, optional("HOST")] = None,
) -> None:
    """Measure the latencies of all complete runs of a profile again, in turn, on an otherwise idle machine.

    Args:
        device: The device to measure on; the runs may come from another.
        turns: How often each network is measured; latency.json keeps every turn, so that the spread is known.
        match: A host such as espnetv2_s1.0: find the input scale of arm latency_matched instead; no run is needed.
    """
    if match is not None:
        from study.presets import preset

        config = preset(profile, "sssr", match, overrides=["model.pretrained=none"])  # a mistake shows before torch

        from study.latency_match import latency_matched_scale

        found = latency_matched_scale(config, device, turns=turns)
        print(f"{found.scale:.3f} ({found.low:.3f} to {found.high:.3f} in {found.turns} turns): enter it for "
              f"({match!r}, {config.data.dataset!r}) in LATENCY_MATCHED_SCALE of study/presets.py")  # fmt: skip
        return
    known_profile(profile)  # a mistake shows before torch is loaded

    from study.latency import remeasure

    number, networks = remeasure(profile, device, turns=turns)
    print(f"{networks} networks measured for {number} runs; `collect` and `claims` then use the new numbers")
