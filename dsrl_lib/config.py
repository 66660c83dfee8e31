"""One typed configuration. Its hash names the run's directory.

The hash covers what differs from the defaults in `settings`, so a new setting does not rename old runs; and so a
default, once runs exist, never changes: profiles and arms (`study.presets`) are the place for other values.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from typing import Annotated, Any

from dsrl_lib.allowed import FolderName, between, did_you_mean
from dsrl_lib.conflicts import conflicts
from dsrl_lib.paths import own_datasets
from dsrl_lib.registry import DATASETS
from dsrl_lib.section import Section, kinds
from dsrl_lib.settings import Data, Downsampling, Loss, Model, Optim


def datasets() -> tuple[str, ...]:
    """Names of all data sets: the published ones, and your own (see `paths.own_datasets`)."""
    return tuple(dict.fromkeys((*DATASETS, *own_datasets())))


@dataclass(frozen=True)
class Config(Section):
    """Everything that decides a run's numbers. The machine (device, workers) is not part of it."""

    prefix = ""
    profile: Annotated[str, FolderName()] = "smoke"
    arm: Annotated[str, FolderName()] = "dsrl"
    seed: Annotated[int, between(0, 2**32 - 1)] = 0
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    downsampling: Downsampling = field(default_factory=Downsampling)
    loss: Loss = field(default_factory=Loss)
    optim: Optim = field(default_factory=Optim)
    warm_start: Annotated[str, FolderName()] | None = None
    """run_id of the run whose final weights this one starts from."""
    continues: str | None = None
    """run_id@step of the run whose checkpoint this one continues, with other settings (`training.resume`)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, ready for JSON."""
        return {name: dict(vars(value)) if is_dataclass(value) else value for name, value in vars(self).items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Config":
        """The inverse of `to_dict`. A setting younger than the file takes its default; ValueError if one is wrong."""
        return _from_dict(Config, values, "").checked()

    def checked(self) -> "Config":
        """Itself, if its settings fit each other. ValueError names those that do not, and what would."""
        for setting, allowed in conflicts(self):
            raise ValueError(f"{setting} = {get(self, setting)!r}; allowed: {allowed}")
        return self

    @property
    def frame_scale(self) -> float:
        """Side of the frame that the network is given / HR side: a network that samples the frame gets all of it."""
        return self.model.input_scale if self.downsampling.locations == "none" else 1.0

    @property
    def host_epochs(self) -> int:
        """Epochs in which the run trains the host: none if it trains an auxiliary network alone."""
        return 0 if self.downsampling.stage == "locations" else self.optim.epochs

    @property
    def hash8(self) -> str:
        """First 8 hexadecimal digits of the SHA-256 of the settings that differ from the defaults."""
        text = json.dumps(_differences(self.to_dict(), _defaults()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def run_id(self) -> str:
        """Name of the run directory: profile, host, arm, seed and hash."""
        return f"{self.profile}-{self.model.host}-{self.arm}-s{self.seed}-{self.hash8}"


@cache
def _defaults() -> dict[str, Any]:
    return Config().to_dict()


def get(config: Config, key: str) -> Any:
    """The value of "section.name"."""
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


def _differences(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    nested = {k: _differences(v, defaults[k]) if isinstance(v, Mapping) else v for k, v in values.items()}
    return {k: v for k, v in nested.items() if v != defaults[k] and v != {}}


def _from_dict(section: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{prefix.rstrip('.') or 'the configuration'} = {values!r}; allowed: settings by their names")
    known = kinds(section)
    for name in sorted(set(values) - set(known)):
        raise ValueError(f"configuration has unknown settings: {prefix}{name}{did_you_mean(name, known)}")
    return section(**{
        name: _from_dict(known[name], value, f"{prefix}{name}.") if is_dataclass(known[name]) else value
        for name, value in values.items()
    })  # fmt: skip
