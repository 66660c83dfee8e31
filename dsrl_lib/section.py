"""A section of the configuration: a frozen dataclass whose settings are checked against their annotations."""

from functools import cache
from typing import Any, TypeGuard, get_args, get_type_hints

from dsrl_lib.allowed import check


class Section:
    """Settings that are checked, each for itself, when they are made: ValueError names the setting, value and range."""

    @property
    def prefix(self) -> str:
        """What comes before the name of a setting in a message."""
        return f"{type(self).__name__.lower()}."

    def __post_init__(self) -> None:
        section: type = type(self)
        for name, kind in kinds(section).items():
            value = getattr(self, name)
            if not is_section(kind):
                check(f"{self.prefix}{name}", value, kind)
                if isinstance(value, (int, float)) and float in (kind, *get_args(kind)):
                    # Equal settings, equal hash: JSON has 2 and 2.0, and 0.0 and -0.0.
                    object.__setattr__(self, name, float(value) + 0.0)
            elif not isinstance(value, kind):
                raise ValueError(f"{name} = {value!r}; allowed: the settings of {name}, by their names")


def is_section(kind: Any) -> TypeGuard[type[Section]]:
    """Whether a type is that of a section, and not of a setting."""
    return isinstance(kind, type) and issubclass(kind, Section)


@cache
def kinds(section: type) -> dict[str, Any]:
    """The annotated types of a section's fields."""
    return get_type_hints(section, include_extras=True)
