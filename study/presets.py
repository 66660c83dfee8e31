"""From a profile and an arm to the configuration of a run, and of the run that it warm-starts from."""

from collections.abc import Sequence
from dataclasses import replace

from dsrl_lib.config import Config, get
from dsrl_lib.overrides import key_and_value, override, override_all, override_each
from dsrl_lib.registry import HOSTS
from study.arms import ARMS, STAGES, Arm, known_arm
from study.profiles import PROFILES, known_profile

# Input side / HR side at which the host alone costs the MACs of host + SSSR head at LR; a test recomputes them.
MAC_MATCHED_SCALE = {
    ("espnetv2_s0.5", "streets"): 1.057,
    ("espnetv2_s0.5", "camvid"): 0.742,
    ("espnetv2_s1.0", "camvid"): 0.642,
    ("espnetv2_s2.0", "camvid"): 0.560,
    ("espnetv2_s0.5", "idd_lite"): 0.603,
    ("espnetv2_s1.0", "idd_lite"): 0.553,
    ("espnetv2_s2.0", "cityscapes"): 0.669,
}


# Input side / HR side at which the host alone takes the time of the pruned network at LR, on one thread of a small CPU.
# `python -m study latency --match` finds it. For camvid on an idle machine, 0.628 to 0.636 in five turns; for streets,
# measured once, on a busy machine.
LATENCY_MATCHED_SCALE = {
    ("espnetv2_s0.5", "streets"): 0.8,
    ("espnetv2_s1.0", "camvid"): 0.632,
}

# Input side / HR side at which the host alone costs no less than host and auxiliary network at LR, and as little more
# as its strides allow (2, 2 and 7 %); a test recomputes them.
UNIFORM_MACS_SCALE = {
    ("espnetv2_s0.5", "streets"): 0.54,
    ("espnetv2_s1.0", "camvid"): 0.505,
    ("espnetv2_s1.0", "idd_lite"): 0.505,
}
MATCHED = {
    "head MACs": (MAC_MATCHED_SCALE, "dsrl_lib.evaluation.cost.mac_matched_scale finds it"),
    "head latency": (LATENCY_MATCHED_SCALE, "`python -m study latency --profile {profile} --match {host}` measures it"),
    "auxiliary MACs": (
        UNIFORM_MACS_SCALE,
        "dsrl_lib.evaluation.cost.mac_matched_scale finds it from the network of arm 'locations'",
    ),
}
"""What an arm matches (`Arm.matches`) -> the input scale by host and data set, and how to find another one."""


def preset(profile: str, arm: str, host: str | None = None, seed: int = 0, overrides: Sequence[str] = ()) -> Config:
    """The configuration of one run.

    overrides: "section.key=value" strings, applied to the profile's defaults before the arm's own changes.
    Raises ValueError for an unknown profile, arm or key, for a key that defines the arm, for one that the arm does not
    use, and for values that are not allowed or do not fit each other (`Config.checked`).
    """
    base, definition = PROFILES[known_profile(profile)].base, ARMS[known_arm(arm)]
    config = replace(base, arm=arm, seed=seed)
    if host is not None:
        config = override(config, "model.host", host)
        if config.model.pretrained not in HOSTS[host].weights:
            config = override(config, "model.pretrained", "none")
    config = override_each(config, definition.tuned.items())
    for item in overrides:
        key, _ = key_and_value(item)
        if key in definition.changes:
            raise ValueError(f"override {item!r}: {key} is what arm {arm!r} sets to {definition.changes[key]!r}")
        if not _uses(definition, key):
            raise ValueError(f"override {item!r}: arm {arm!r} does not use {key}")
    config = _of_arm(override_all(config, overrides), definition)
    if definition.matches:
        config = override(config, "model.input_scale", _matched_scale(config, definition.matches))
    for key, stages in (("optim.stage_epochs", 1), ("optim.schedule_epochs", STAGES)):
        if get(config, key) == 0:
            config = override(config, key, config.optim.epochs * stages)
    config = override(config, "optim.epochs", config.optim.epochs * definition.updates)
    if definition.relaxed_share and config.loss.relax_epochs == 0:
        epochs = round(definition.relaxed_share * config.optim.schedule_epochs)
        config = override(config, "loss.relax_epochs", epochs)
    config = _after(config).checked()
    if (epochs := config.optim.schedule_epochs) < (end := epochs_until(config)):
        raise ValueError(f"optim.schedule_epochs = {epochs}, but arm {arm!r} ends after {end} epochs")
    return config


def override_list(text: str) -> list[str]:
    """The overrides of a comma-separated text, such as a notebook's parameter: "loss.w2=0.5, optim.epochs=20"."""
    return [item.strip() for item in text.split(",") if item.strip()]


def parent_of(config: Config) -> Config | None:
    """The configuration of the run that `config` warm-starts from, or None.

    It shares every setting that its arm uses, so that runs which differ in w2 alone share their stage 2. ValueError if
    these do not fit each other there.
    """
    child = ARMS[config.arm]
    if child.after is None:
        return None
    parent, base = ARMS[child.after], PROFILES[config.profile].base
    result = replace(config, arm=child.after, warm_start=None, continues=None)
    own = (*child.changes, *(child.tuned.keys() - parent.tuned.keys()))
    result = _of_arm(override_each(result, ((key, get(base, key)) for key in own)), parent)
    result = override(result, "optim.epochs", config.optim.epochs // child.updates * parent.updates)
    try:
        return _after(result).checked()
    except ValueError as error:
        raise ValueError(f"arm {config.arm!r} starts from {child.after!r}, where {error}") from None


def epochs_until(config: Config | None) -> int:
    """Epochs of the host's training in a run and in those that it starts from."""
    return config.host_epochs + epochs_until(parent_of(config)) if config else 0


def overrides_for(arm: str, overrides: Sequence[str]) -> tuple[str, ...]:
    """Those of the overrides that an arm uses, such as the ones to give to the run that another one starts from."""
    return tuple(item for item in overrides if _uses(ARMS[arm], item.partition("=")[0]))


def _after(config: Config) -> Config:
    parent = parent_of(config)
    return replace(config, warm_start=parent.run_id) if parent else config


_DEFAULTS = Config()
_ONLY_WITH = {
    "model.sssr": ("model.sssr_head", "model.sssr_start", "model.sssr_norm"),
    "model.sisr": (
        "model.sisr_frozen",
        "model.sisr_residual",
        "model.sisr_taps",
        "model.sisr_decoder",
        "loss.w1",
        "loss.share_sisr",
        "loss.sisr_target",
        "optim.sisr_warmup",
    ),
    "model.fa": (
        "model.fa_placement",
        "model.ftm",
        "loss.w2",
        "loss.share_fa",
        "loss.fa_form",
        "loss.fa_normalise",
        "loss.fa_q",
        "loss.fa_stride",
    ),
    "downsampling.locations": (
        "downsampling.rows",
        "downsampling.columns",
        "downsampling.lam",
        "downsampling.filter",
        "downsampling.swapped",
        "downsampling.stage",
    ),
}


def _of_arm(config: Config, arm: Arm) -> Config:
    """`config` with the changes of an arm, and the default for every setting that the arm does not use: what is tuned
    for one arm renames no run of another."""
    unused = (key for keys in _ONLY_WITH.values() for key in keys if not _uses(arm, key))
    return override_each(config, [*((key, get(_DEFAULTS, key)) for key in unused), *arm.changes.items()])


def _uses(arm: Arm, key: str) -> bool:
    return not any(key in keys and not arm.changes.get(switch) for switch, keys in _ONLY_WITH.items())


def _matched_scale(config: Config, what: str) -> float:
    (scales, how), pair = MATCHED[what], (config.model.host, config.data.dataset)
    if pair not in scales:
        raise ValueError(
            f"{config.arm}: no input scale for {'/'.join(pair)}; known: {', '.join('/'.join(p) for p in scales)}. "
            f"{how.format(host=config.model.host, profile=config.profile)}; without it, choose the other arms."
        )
    return scales[pair]
