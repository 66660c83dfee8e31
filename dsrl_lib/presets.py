"""Profiles give the defaults, arms are small differences against them: the table of everything the study runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from dsrl_lib.config import Config, Data, Loss, Model, Optim, override, setting


@dataclass(frozen=True)
class Arm:
    """A named difference against the profile's defaults."""

    isolates: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    after: str | None = None
    """The arm whose run this one warm-starts from."""
    updates: int = 1
    """Training length in multiples of optim.epochs."""


_SSSR = {"model.sssr": True}
_SISR = _SSSR | {"model.sisr": True}
_FA = _SISR | {"model.fa": True}
_RANDOM = {"model.sssr_start": "random"}
_FROZEN = {"model.sisr_frozen": True}
_NOISE = {"loss.sisr_target": "noise"}

STAGES = 3

# All arms that a claim compares end at the same total of 3 x optim.epochs, with one schedule over all of them, so at
# the same learning rate at every step; `sssr` and `sssr_sisr` are the stages of `dsrl`, one and two thirds of it.
ARMS: dict[str, Arm] = {
    "lr": Arm("the paper's baseline", {"loss.train_labels": "lr"}, updates=3),
    "bilinear": Arm("HR labels, without any new layer", updates=3),
    "sssr": Arm("the learned head (stage 1)", _SSSR),
    "sssr_sisr": Arm("image reconstruction (stage 2)", _SISR, after="sssr"),
    "dsrl": Arm("feature affinity (stage 3)", _FA, after="sssr_sisr"),
    "sssr_long": Arm("stage 1 for the updates of all three stages", _SSSR, after="sssr", updates=2),
    "sssr_sisr_long": Arm("stage 2 for the updates of stages 2 and 3", _SISR, after="sssr_sisr"),
    "sssr_random": Arm("the start of the SSSR head", _SSSR | _RANDOM, updates=3),
    "dsrl_joint": Arm("all parts from the first update instead of stages", _FA, updates=3),
    "sssr_sisr_frozen": Arm("stage 2 of sisr_frozen", _SISR | _FROZEN, after="sssr"),
    "sisr_frozen": Arm("the widely copied bug: SISR head and FTM never trained", _FA | _FROZEN,
                       after="sssr_sisr_frozen"),
    "sssr_sisr_noise": Arm("stage 2 of sisr_noise", _SISR | _NOISE, after="sssr"),
    "sisr_noise": Arm("is it the image content?", _FA | _NOISE, after="sssr_sisr_noise"),
    "mac_matched": Arm("equal cost: a larger input instead of the SSSR head", updates=3),
    "hr": Arm("upper bound: the host at HR input", {"model.input_scale": 1.0}, updates=3),
}  # fmt: skip

FA_PLACEMENTS = ("features", "output")
FTMS = ("keep", "to3", "none")
FA_NORMALISATIONS = ("norm", "raw")
for _placement, _ftm, _norm in product(FA_PLACEMENTS, FTMS, FA_NORMALISATIONS):
    if (_placement, _ftm, _norm) != ("features", "keep", "norm"):  # that cell is `dsrl` itself
        ARMS[f"fa_{_placement}_{_ftm}_{_norm}"] = Arm(
            "FA factorial: placement x FTM x normalisation",
            _FA | {"model.fa_placement": _placement, "model.ftm": _ftm, "loss.fa_normalise": _norm == "norm"},
            after="sssr_sisr",
        )

MAIN_ARMS = ("lr", "bilinear", "sssr", "sssr_sisr", "dsrl")
FA_ARMS = tuple(arm for arm in ARMS if arm.startswith("fa_"))
STAGE_ARMS = ("sssr_sisr_frozen", "sssr_sisr_noise")
"""Stages of controls: they have had fewer updates, and no comparison shows them."""
CONTROL_ARMS = tuple(arm for arm in ARMS if arm not in MAIN_ARMS + FA_ARMS + STAGE_ARMS)

# Input side / HR side at which the host alone costs the MACs of host + SSSR head at LR; a test recomputes them.
MAC_MATCHED_SCALE = {
    ("espnetv2_s0.5", "streets"): 1.057,
    ("espnetv2_s0.5", "camvid"): 0.742,
    ("espnetv2_s1.0", "camvid"): 0.642,
    ("espnetv2_s2.0", "camvid"): 0.560,
    ("espnetv2_s2.0", "cityscapes"): 0.669,
}


@dataclass(frozen=True)
class Setting:
    """Runs beside the profile's own: another host or other overrides, for some arms. A claim names them arm@setting."""

    arm_seeds: Mapping[str, tuple[int, ...]]
    host: str | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """A study at one scale: defaults, hosts, and the seeds of each arm."""

    base: Config
    hosts: tuple[str, ...]
    arm_seeds: Mapping[str, tuple[int, ...]]
    expect: str
    """How long it takes, what it needs and what number to expect."""
    settings: Mapping[str, Setting] = field(default_factory=dict)


SEARCH_SEED = 9
"""Seed of the runs that chose the recipe, on val: no comparison uses them."""


def _seeds(main: int, long: int, control: int, factorial: int) -> dict[str, tuple[int, ...]]:
    """Seeds by arm. long: the stages trained on to the full length, which `dsrl` is compared with."""
    groups = ((MAIN_ARMS, main), (CONTROL_ARMS + STAGE_ARMS, control), (FA_ARMS, factorial))
    seeds = {arm: number for arms, number in groups for arm in arms}
    seeds |= dict.fromkeys(("sssr_long", "sssr_sisr_long"), long)
    return {arm: tuple(range(seeds[arm])) for arm in ARMS}


def _size(height: int, width: int, crop_height: int, crop_width: int) -> tuple[str, ...]:
    sides = {"height": height, "width": width, "crop_height": crop_height, "crop_width": crop_width}
    return tuple(f"data.{name}={side}" for name, side in sides.items())


PROFILES: dict[str, Profile] = {
    "smoke": Profile(
        base=Config(
            profile="smoke",
            data=Data("streets", crop_height=64, crop_width=128, scale_min=0.5, scale_max=1.0),
            optim=Optim(epochs=2, batch_size=16, lr=4e-3),
        ),
        hosts=("espnetv2_s0.5",),
        arm_seeds=_seeds(main=2, long=1, control=1, factorial=1),
        expect="Procedural streets, minutes on two CPU cores. It shows that everything runs; its numbers say nothing.",
    ),
    "camvid": Profile(
        base=Config(
            profile="camvid",
            data=Data("camvid", height=360, width=480, crop_height=360, crop_width=480, scale_max=1.67),
            model=Model(host="espnetv2_s1.0", pretrained="cityscapes_512x256"),
            loss=Loss(w1=1.0, w2=0.1),  # best on val in the search (notebook 20); the paper's are 0.1 and 1
            optim=Optim(epochs=5),
        ),
        hosts=("espnetv2_s1.0",),
        arm_seeds=_seeds(main=5, long=5, control=3, factorial=3) | {"dsrl_joint": (0, 1), "hr": (0,)},
        expect="CamVid at LR 180x240.",
        settings={
            "small_input": Setting(dict.fromkeys(("lr", "dsrl"), (0, 1, 2)), overrides=_size(180, 240, 180, 240)),
            "second_host": Setting(dict.fromkeys(("lr", "dsrl"), (0, 1, 2)), host="ddrnet23_slim"),
            "twice_as_long": Setting(dict.fromkeys(("lr", "bilinear", "dsrl"), (0, 1)), overrides=("optim.epochs=10",)),
        },
    ),
    "cityscapes": Profile(
        base=Config(
            profile="cityscapes",
            data=Data(
                "cityscapes", height=1024, width=2048, crop_height=768, crop_width=1536, scale_min=0.5, scale_max=2.0
            ),
            model=Model(host="espnetv2_s2.0", pretrained="cityscapes_1024x512"),
            optim=Optim(optimizer="sgd", lr=0.01, weight_decay=5e-4, batch_size=16, epochs=60),
        ),
        hosts=("espnetv2_s2.0",),
        arm_seeds=_seeds(main=3, long=3, control=1, factorial=1),
        expect="Cityscapes at LR 512x1024; needs a GPU. Never run by us; see README.",
        settings={
            "small_input": Setting(dict.fromkeys(("lr", "dsrl"), (0, 1, 2)), overrides=_size(512, 1024, 384, 768)),
            "second_host": Setting(dict.fromkeys(("lr", "dsrl"), (0, 1, 2)), host="ddrnet23_slim"),
        },
    ),
}  # fmt: skip


def preset(profile: str, arm: str, host: str | None = None, seed: int = 0, overrides: Sequence[str] = ()) -> Config:
    """The configuration of one run.

    overrides: "section.key=value" strings, applied to the profile's defaults before the arm's own changes.
    Raises ValueError for an unknown profile, arm or key, for a key that defines the arm, and for one that the
    arm does not use.
    """
    defaults = _lookup("profile", PROFILES, profile)
    definition = _lookup("arm", ARMS, arm)
    config = replace(defaults.base, arm=arm, seed=seed)
    if host is not None:
        config = override(config, "model.host", host)
        if not host.startswith("espnetv2"):
            config = override(config, "model.pretrained", "none")
    for item in overrides:
        key, separator, value = item.partition("=")
        if not separator:
            raise ValueError(f"override {item!r}: expected section.key=value, for example optim.lr=0.02")
        if key in definition.changes:
            raise ValueError(f"override {item!r}: {key} is what arm {arm!r} sets to {definition.changes[key]!r}")
        if not _uses(definition, key):
            raise ValueError(f"override {item!r}: arm {arm!r} does not use {key}")
        config = override(config, key, value)
    config = _without_unused(config, definition)
    for key, value in definition.changes.items():
        config = override(config, key, value)
    if arm == "mac_matched":
        config = override(config, "model.input_scale", _mac_matched_scale(config))
    for key, stages in (("optim.stage_epochs", 1), ("optim.schedule_epochs", STAGES)):
        if setting(config, key) == 0:
            config = override(config, key, config.optim.epochs * stages)
    config = override(config, "optim.epochs", config.optim.epochs * definition.updates)
    return _after(config)


def parent_of(config: Config) -> Config | None:
    """The configuration of the run that `config` warm-starts from, or None.

    It shares every setting that its arm uses, so that runs which differ in w2 alone share their stage 2.
    """
    child = ARMS[config.arm]
    if child.after is None:
        return None
    parent, base = ARMS[child.after], PROFILES[config.profile].base
    result = replace(config, arm=child.after, warm_start=None, continues=None)
    for key in child.changes:
        result = override(result, key, setting(base, key))
    result = _without_unused(result, parent)
    for key, value in parent.changes.items():
        result = override(result, key, value)
    return _after(override(result, "optim.epochs", config.optim.epochs // child.updates * parent.updates))


def overrides_for(arm: str, overrides: Sequence[str]) -> tuple[str, ...]:
    """Those of the overrides that an arm uses, such as the ones to give to the run that another one starts from."""
    return tuple(item for item in overrides if _uses(ARMS[arm], item.partition("=")[0]))


def _after(config: Config) -> Config:
    parent = parent_of(config)
    return replace(config, warm_start=parent.run_id) if parent else config


_ONLY_WITH = {
    "model.sssr": ("model.sssr_head", "model.sssr_start"),
    "model.sisr": ("model.sisr_frozen", "loss.w1", "loss.sisr_target"),
    "model.fa": ("model.fa_placement", "model.ftm", "loss.w2", "loss.fa_normalise", "loss.fa_q", "loss.fa_stride"),
}


def _without_unused(config: Config, arm: Arm) -> Config:
    """The default for every setting that an arm does not use: what is tuned for one arm renames no run of another."""
    for key in (key for keys in _ONLY_WITH.values() for key in keys if not _uses(arm, key)):
        config = override(config, key, setting(Config(), key))
    return config


def _uses(arm: Arm, key: str) -> bool:
    return not any(key in keys and not arm.changes.get(switch) for switch, keys in _ONLY_WITH.items())


def _lookup(kind: str, table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}; valid: {', '.join(table)}")
    return table[name]


def _mac_matched_scale(config: Config) -> float:
    pair = (config.model.host, config.data.dataset)
    if pair not in MAC_MATCHED_SCALE:
        known = ", ".join("/".join(p) for p in MAC_MATCHED_SCALE)
        raise ValueError(
            f"mac_matched: no input scale for {'/'.join(pair)}; known: {known}. "
            "dsrl_lib.cost.mac_matched_scale finds it; without it, choose the other arms."
        )
    return MAC_MATCHED_SCALE[pair]
