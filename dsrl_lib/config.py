"""One typed configuration. Its hash names the run's directory.

Terms are those of the paper: HR is the image at full size, LR the reduced input, w1 and w2 the loss weights.
The hash covers what differs from the defaults below, so a new setting does not rename old runs; and so a default,
once runs exist, never changes: profiles and arms (see `presets`) are the place for other values.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dsrl_lib.paths import own_datasets

Host = Literal[
    "espnetv2_s0.5", "espnetv2_s1.0", "espnetv2_s1.5", "espnetv2_s2.0",
    "ddrnet23_slim", "ddrnet23", "ddrnet39",
    "deeplabv3plus_resnet18", "deeplabv3plus_resnet50", "deeplabv3plus_resnet101", "deeplabv3plus_mobilenetv2",
    "deeplabv3plus_seresnext50", "deeplabv3plus_drn_d_54", "deeplabv3plus_xception",
    "deepwv3plus",
]  # fmt: skip
"""Names of the host networks that `models.build_host` knows."""

ONE_SIZE = {
    "streets": (128, 256),
    "camvid": (360, 480),
    **dict.fromkeys(("cityscapes", "cityscapes_cv1", "cityscapes_cv2", "cityscapes_coarse"), (1024, 2048)),
}
"""Data sets whose frames all have one size: its height and width. They are also read at another size of this aspect."""

PUBLISHED = (*ONE_SIZE, "kitti", "kitti_cv1", "kitti_cv2", "mapillary", "voc", "voc_sbd", "coco")
"""Data sets that `data.list_frames` reads in their published layout."""


def datasets() -> tuple[str, ...]:
    """Names of all data sets: the published ones, and those of one's own that are there."""
    return tuple(dict.fromkeys((*PUBLISHED, *own_datasets())))


@dataclass(frozen=True)
class Data:
    """Which frames, and the one geometry that makes LR input, HR image and HR labels from them."""

    dataset: str = "streets"
    """One of `datasets()`."""
    height: int = 128
    """HR height in pixels: frames are brought to height x width before anything else. A frame of another aspect than
    the data set has, or of a data set with many sizes, keeps its aspect (`transforms.frame_size`)."""
    width: int = 256
    """HR width in pixels. For a data set with many sizes it is the width at which costs are measured."""
    crop_height: int = 128
    """Training crop in HR pixels."""
    crop_width: int = 256
    scale_min: float = 1.0
    """The frame is scaled by a factor from [scale_min, scale_max] before the crop."""
    scale_max: float = 1.6
    flip: float = 0.5
    """Probability of a horizontal flip."""
    colour: float = 0.2
    """Strength of the brightness, contrast and saturation jitter."""


@dataclass(frozen=True)
class Model:
    """The host and what DSRL adds to it (paper, Sec. 3)."""

    host: Host = "espnetv2_s0.5"
    pretrained: Literal["none", "cityscapes_512x256", "cityscapes_1024x512"] = "none"
    """Published Cityscapes weights by the width x height they were trained at (ESPNetv2 only)."""
    input_scale: float = 0.5
    """Input side / HR side: 0.5 is LR, 1.0 is HR."""
    sssr: bool = False
    """Learned upsampling to 2x the input; without it logits are resized bilinearly."""
    sssr_head: Literal["deconv", "subpixel"] = "deconv"
    """The released head (two deconvolutions on the class map), or a sub-pixel convolution."""
    sssr_start: Literal["bilinear", "random"] = "bilinear"
    """Whether the SSSR head starts as bilinear interpolation or at random."""
    sisr: bool = False
    sisr_frozen: bool = False
    """SISR head and FTM stay at their random start (a widely copied bug)."""
    fa: bool = False
    fa_placement: Literal["features", "output"] = "features"
    ftm: Literal["keep", "to3", "none"] = "keep"
    frozen_bn: bool = False
    """Batch norms keep the statistics, scales and shifts that they start with."""
    sync_bn: bool = False
    """Batch norms over the samples of all processes, where several train one run."""


@dataclass(frozen=True)
class Loss:
    """L = CE + w1 * MSE + w2 * FA (paper, Eq. 4)."""

    train_labels: Literal["hr", "lr"] = "hr"
    w1: float = 0.1
    w2: float = 1.0
    fa_normalise: bool = True
    fa_q: Literal[1, 2] = 1
    fa_stride: int = 8
    """FA tokens are averages over fa_stride x fa_stride HR pixels."""
    sisr_target: Literal["image", "noise"] = "image"
    segmentation: Literal["ce", "focal", "ohem"] = "ce"
    """Cross entropy, focal loss, or cross entropy over hard examples alone."""
    class_weights: Literal["none", "frequency"] = "none"
    """Of the cross entropy."""


@dataclass(frozen=True)
class Optim:
    """One optimiser, one schedule per iteration over all stages of the method."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    schedule: Literal["poly", "cosine", "step"] = "poly"
    """How lr falls: (1 - t)^power, half a cosine, or to a tenth after each third of the schedule."""
    weight_decay: float = 1e-2
    momentum: float = 0.9
    """SGD only."""
    power: float = 0.9
    batch_size: int = 8
    epochs: int = 30
    schedule_epochs: int = 0
    """Epochs over which lr falls to 0, counted from the first of the runs that this one continues; 0: its own epochs.
    `preset` makes it the epochs of all three stages, for every arm."""
    stage_epochs: int = 0
    """The optimiser starts afresh after so many epochs, as it does where a stage ends; 0: never. `preset` sets it."""
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    validate_every: int = 5
    """Epochs between validations on the val split; the last epoch is always validated."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's numbers. The machine (device, workers) is not part of it."""

    profile: str = "smoke"
    arm: str = "dsrl"
    seed: int = 0
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    loss: Loss = field(default_factory=Loss)
    optim: Optim = field(default_factory=Optim)
    warm_start: str | None = None
    """run_id of the run whose final weights this one starts from."""
    continues: str | None = None
    """run_id@step of the run whose checkpoint this one went on from, with other settings (`manage.resume`)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, ready for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Config":
        """The inverse of `to_dict`. A setting younger than the file takes its default; an unknown one is an error."""
        return _from_dict(Config, values, "")

    @property
    def hash8(self) -> str:
        """First 8 hexadecimal digits of the SHA-256 of the settings that differ from the defaults."""
        text = json.dumps(_differences(self.to_dict(), asdict(Config())), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def run_id(self) -> str:
        """Name of the run directory: profile, host, arm, seed and hash."""
        return f"{self.profile}-{self.model.host}-{self.arm}-s{self.seed}-{self.hash8}"


def override(config: Config, key: str, value: Any) -> Config:
    """`config` with one value changed.

    key: "section.name", such as "optim.lr". value: of the field's type, or text to be read as that type.
    Raises ValueError that names the valid keys or the allowed values.
    """
    section_name, _, name = key.partition(".")
    sections = [f.name for f in fields(config) if is_dataclass(getattr(config, f.name))]
    valid = [f"{s}.{f.name}" for s in sections for f in fields(getattr(config, s))]
    if key not in valid:
        raise ValueError(f"unknown setting {key!r}; valid settings: {', '.join(valid)}")
    section = getattr(config, section_name)
    parsed = _parse(key, value, get_type_hints(type(section))[name])
    if key == "data.dataset" and parsed not in datasets():
        raise ValueError(f"{key} = {value!r}; allowed: {', '.join(datasets())}, or a folder of your own with a "
                         "classes.txt (see data/README.md)")  # fmt: skip
    return replace(config, **{section_name: replace(section, **{name: parsed})})


def setting(config: Config, key: str) -> Any:
    """The value of "section.name"."""
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def _parse(key: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        allowed = get_args(kind)
        match = [a for a in allowed if value == a or str(value) == str(a)]
        if match:
            return match[0]
        raise ValueError(f"{key} = {value!r}; allowed: {', '.join(map(str, allowed))}")
    if kind is bool:
        words = {"true": True, "false": False, "on": True, "off": False}
        if str(value).lower() in words:
            return words[str(value).lower()]
        raise ValueError(f"{key} = {value!r}; allowed: true, false")
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ValueError(f"{key} = {value!r}; expected {kind.__name__}") from None


def _differences(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    nested = {k: _differences(v, defaults[k]) if isinstance(v, Mapping) else v for k, v in values.items()}
    return {k: v for k, v in nested.items() if v != defaults[k] and v != {}}


def _from_dict(kind: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"configuration has unknown settings: {', '.join(prefix + name for name in unknown)}")
    return kind(**{
        name: _from_dict(hints[name], value, f"{prefix}{name}.") if is_dataclass(hints[name]) else value
        for name, value in values.items()
    })  # fmt: skip
