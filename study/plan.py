"""The runs of a profile in an order that works, and what each will cost: for Snakemake, people and notebooks.

Nothing here starts anything or needs torch.
"""

import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

from dsrl_lib.allowed import did_you_mean
from dsrl_lib.config import Config
from dsrl_lib.own_data import dataset
from dsrl_lib.registry import HOSTS
from study.presets import overrides_for, parent_of, preset
from study.profiles import PROFILES, SEARCH_SEEDS, Profile, known_profile

# The stages have notebooks of their own; every other arm is trained by 19_train_arm.
NOTEBOOK_OF_ARM = {"sssr": "11_stage1_sssr", "sssr_sisr": "12_stage2_sisr", "dsrl": "13_stage3_fa"}
OTHER_ARMS = "19_train_arm"

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
SCANNED = {"sssr_sisr_res": "loss.share_sisr", "dsrl_res": "loss.share_fa"}
"""The share of each arm that `scanned_runs` varies, over SHARES."""

MEASURED_ON = {"cpu": "one thread of a small server", "cuda": "a GPU (a guess: not measured yet)"}
START_SECONDS, START_GIB = 20.0, 1.3  # the latter with decoded frames
SISR_FACTOR, FA_FACTOR = 1.2, 1.15  # what the auxiliary branches add to a step
SAMPLING_FACTOR = 1.6  # what sampling the frame and the way back to its pixels add
EVALUATION_FACTOR = 3  # the speed of evaluation over that of training
SSSR_GIB, SISR_GIB, SAMPLING_GIB = 0.2, 0.35, 0.2  # what these add per HR megapixel of a batch


@dataclass(frozen=True)
class PlannedRun:
    """One training run: its configuration, the notebook that does it, and an estimate of its cost."""

    config: Config
    notebook: str
    parent: str | None
    """run_id of the run it warm-starts from."""
    seconds: float
    memory_gib: float
    overrides: tuple[str, ...] = ()
    """What differs from the preset of its arm and host, as for `preset`."""

    @property
    def run_id(self) -> str:
        return self.config.run_id

    def limits(self, devices: int = 1, hours: float | None = None) -> dict[str, int]:
        """What to ask a scheduler for: minutes, and MB of memory. hours: the time limit; else from the estimate."""
        minutes = 60 * hours if hours else 3 * self.seconds / 60 + 10
        memory = round(1.5 * 1024 * self.memory_gib) + 2000 * max(1, devices)
        return {"runtime": max(1, round(minutes)), "mem_mb": memory}

    @property
    def label(self) -> str:
        """Notebook, arm, host, seed and overrides, for a line of progress."""
        words = (self.notebook, self.config.arm, self.config.model.host, f"s{self.config.seed}", *self.overrides)
        return " ".join(words)

    @property
    def is_complete(self) -> bool:
        from dsrl_lib.runs import folder, is_complete  # lazy: a plan needs the standard library alone

        return is_complete(folder(self.config))


def planned_runs(
    profile: str,
    arms: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    hosts: Collection[str] | None = None,
    device: str = "cpu",
) -> list[PlannedRun]:
    """The runs of a profile, each after the run it warm-starts from, each once.

    arms and seeds narrow those of the profile and of its variants, hosts replace its hosts and leave out its variants;
    a run that a chosen one starts from is always included. device ("cpu" or "cuda") only matters for the estimates.
    ValueError for a name that the profile lacks, and for no names.
    """
    planned = _after_their_parents(_configs(profile, PROFILES[known_profile(profile)], arms, seeds, hosts), device)
    if not planned:
        chosen = {"arms": arms, "seeds": seeds, "hosts": hosts}
        asked = " and ".join(f"{name} = {', '.join(map(str, value))}" for name, value in chosen.items() if value)
        raise ValueError(f"profile {profile!r} has no run with {asked}: it has each of them, but not together")
    return planned


def scanned_runs(profile: str) -> list[PlannedRun]:
    """The runs of the share scan, each after the run that it starts from: SCANNED x SHARES x SEARCH_SEEDS.

    Seed by seed, as for `planned_runs`, which has none of them. ValueError for an unknown profile.
    """
    scanned = []
    for seed, (arm, setting), share in product(SEARCH_SEEDS, SCANNED.items(), SHARES):
        config = preset(profile, arm, seed=seed, overrides=[f"{setting}={share}"])
        overrides = () if config == preset(profile, arm, seed=seed) else (f"{setting}={share}",)
        scanned.append((config, overrides))
    return _after_their_parents(scanned, "cpu")


def command(run: PlannedRun) -> str:
    """The shell command, on one line, that does `run` without Snakemake or notebooks."""
    config = run.config
    options = {"profile": config.profile, "arm": config.arm, "host": config.model.host, "seed": config.seed}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += [word for item in run.overrides for word in ("--set", item)]
    return shlex.join(["python", "-m", "study", "train", *words])


def _configs(
    profile: str,
    study: Profile,
    arms: Collection[str] | None,
    seeds: Collection[int] | None,
    hosts: Collection[str] | None,
) -> Iterable[tuple[Config, tuple[str, ...]]]:
    """Configurations and their overrides.

    Seed by seed, so that an interrupted study has whole comparisons rather than all seeds of one arm.
    """
    of_variants = [variant.arm_seeds for variant in study.variants.values()]
    arms = _chosen("arm", arms, dict.fromkeys(chain(study.arm_seeds, *of_variants)), profile)
    narrowed = hosts is not None
    hosts = _chosen("host", hosts, HOSTS, profile) if narrowed else study.hosts
    seeds_of = [table.get(arm, ()) for table in (study.arm_seeds, *of_variants) for arm in arms]
    known_seeds = sorted({*chain(*seeds_of)})
    for seed in _chosen("seed", seeds, known_seeds, profile):
        for host in hosts:
            for arm in arms:
                if seed in study.arm_seeds.get(arm, ()):
                    yield preset(profile, arm, host, seed), ()
    for variant in () if narrowed else study.variants.values():
        for arm, own_seeds in variant.arm_seeds.items():
            for seed in own_seeds if arm in arms else ():
                if seeds is None or seed in seeds:
                    yield preset(profile, arm, variant.host, seed, variant.overrides), variant.overrides


def _chosen(kind: str, chosen: Collection[Any] | None, valid: Collection[Any], profile: str) -> list[Any]:
    if chosen is None:
        return list(valid)
    names = ", ".join(map(str, valid))
    if not chosen:
        raise ValueError(f"{kind}s: none given; valid: {names}")
    if unknown := [item for item in chosen if item not in valid]:
        hint = did_you_mean(unknown[0], valid)
        raise ValueError(f"profile {profile!r} has no {kind} {unknown[0]!r}; valid: {names}{hint}")
    return [item for item in valid if item in chosen]


def _after_their_parents(wanted: Iterable[tuple[Config, tuple[str, ...]]], device: str) -> list[PlannedRun]:
    """Configurations with their overrides, as planned runs: each after those that it starts from, each once."""
    planned: dict[str, PlannedRun] = {}
    for config, overrides in wanted:
        for member in _with_parents(config):
            planned.setdefault(member.run_id, _planned(member, overrides_for(member.arm, overrides), device))
    return list(planned.values())


def _with_parents(config: Config) -> list[Config]:
    parent = parent_of(config)
    return [*(_with_parents(parent) if parent else ()), config]


def _planned(config: Config, overrides: tuple[str, ...], device: str) -> PlannedRun:
    parent = parent_of(config)
    return PlannedRun(
        config=config,
        notebook=NOTEBOOK_OF_ARM.get(config.arm, OTHER_ARMS),
        parent=parent.run_id if parent else None,
        seconds=_seconds(config, device),
        memory_gib=_memory_gib(config),
        overrides=overrides,
    )


def _seconds(config: Config, device: str) -> float:
    data, model = config.data, config.model
    train_images, evaluated_images = dataset(data.dataset).images
    scale = model.input_scale**2 / 1e6
    trained = config.optim.epochs * train_images * data.crop_height * data.crop_width * scale
    evaluated = evaluated_images * data.height * data.width * scale
    speed = HOSTS[model.host].speed[device]
    factor = (SISR_FACTOR if model.sisr else 1.0) * (FA_FACTOR if model.fa else 1.0)
    factor *= SAMPLING_FACTOR if config.downsampling.locations != "none" else 1.0
    return START_SECONDS + (trained * factor + evaluated / EVALUATION_FACTOR) / speed


def _memory_gib(config: Config) -> float:
    data, model = config.data, config.model
    each = HOSTS[model.host].memory * model.input_scale**2 + SSSR_GIB * model.sssr + SISR_GIB * model.sisr
    each += SAMPLING_GIB if config.downsampling.locations != "none" else 0.0
    return START_GIB + each * config.optim.batch_size * data.crop_height * data.crop_width / 1e6
