"""Change a configuration by the names of its settings, such as `optim.lr=0.02` on a command line."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from dsrl_lib.allowed import did_you_mean, parse
from dsrl_lib.config import Config, datasets
from dsrl_lib.section import is_section, kinds


def override(config: Config, key: str, value: Any) -> Config:
    """`config` with one value changed.

    key: "section.name", such as "optim.lr". value: of the field's type, or text to be read as that type.
    Raises ValueError that names the valid keys or the allowed values. Settings that change one after another may not
    fit each other in between, so `Config.checked` looks at the whole.
    """
    return override_each(config, {key: value}.items())


def override_each(config: Config, changes: Iterable[tuple[str, Any]]) -> Config:
    """`config` with several values changed, given as pairs of key and value; the last one of a key counts."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in changes:
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = _parsed(key, value)
    return replace(config, **{name: replace(getattr(config, name), **values) for name, values in sections.items()})


def override_all(config: Config, items: Iterable[str]) -> Config:
    """`config` with the values of "section.name=value" items. ValueError as in `override` and `key_and_value`."""
    return override_each(config, map(key_and_value, items))


def _parsed(key: str, value: Any) -> Any:
    valid = _settings()
    if key not in valid:
        nearest = next((full for full in valid if full.endswith(f".{key}")), key)
        raise ValueError(f"unknown setting {key!r}; valid settings: {', '.join(valid)}{did_you_mean(nearest, valid)}")
    parsed = parse(key, value, valid[key])
    if key in ("data.dataset", "data.boost_dataset") and parsed not in ("", *datasets()):  # "": no boost
        raise ValueError(f"{key} = {value!r}; allowed: {', '.join(datasets())}, or a folder of your own with a "
                         f"classes.txt (see data/README.md){did_you_mean(value, datasets())}")  # fmt: skip
    return parsed


@cache
def _settings() -> dict[str, Any]:
    """The annotated type of every setting, by "section.name"."""
    sections: dict[str, type] = {name: kind for name, kind in kinds(Config).items() if is_section(kind)}
    return {f"{section}.{name}": kind for section, fields in sections.items() for name, kind in kinds(fields).items()}


def key_and_value(item: str) -> tuple[str, str]:
    """ "optim.lr=0.02" -> "optim.lr" and "0.02". ValueError without an equals sign."""
    key, separator, value = item.partition("=")
    if not separator:
        raise ValueError(f"override {item!r}: expected section.key=value, for example optim.lr=0.02")
    return key, value
