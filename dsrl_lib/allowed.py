"""Which values a setting or an option may have, and how an error says so.

A range is written beside the thing it belongs to: `batch_size: Annotated[int, at_least(1)]`.
"""

import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from unicodedata import category

LARGEST = (2 - 2**-23) * 2.0**127
"""What float32 holds."""
UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, of halves of letters, and of separators of lines."""


@dataclass(frozen=True)
class Range:
    """The finite numbers that satisfy `low` and `high`, and the words for them."""

    low: float
    words: str
    high: float = math.inf
    without_low: bool = False
    without_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.without_low else value >= self.low
        return above and (value < self.high if self.without_high else value <= self.high) and _is_finite(value)


def at_least(low: float) -> Range:
    """low, or more."""
    return Range(low, f"{low} or more")


def above(low: float) -> Range:
    """More than low."""
    return Range(low, f"above {low}", without_low=True)


def between(low: float, high: float) -> Range:
    """low, high, and what lies between them."""
    return Range(low, f"from {low} to {high}", high)


def from_to_below(low: float, high: float) -> Range:
    """low and what lies between it and high, without high."""
    return Range(low, f"from {low} to below {high}", high, without_high=True)


def threads() -> Range:
    """As many as there are CPUs, and at least 8: with very many the process dies."""
    return between(1, max(8, os.cpu_count() or 1))


def workers() -> Range:
    """Of processes that load samples, more would wait for each other, and a system may have no room for them."""
    return between(0, max(64, os.cpu_count() or 1))


def is_plain(text: str) -> bool:
    """Whether a text is one line of letters, which can be printed and stored."""
    return not any(category(sign) in UNSEEN for sign in text)


@dataclass(frozen=True)
class one_of:  # noqa: N801 - reads as the functions above
    """One of the names in a table, which may grow."""

    names: Collection[str]

    @property
    def words(self) -> str:
        return ", ".join(self.names)

    def __contains__(self, value: str) -> bool:
        return value in self.names


@dataclass(frozen=True)
class class_numbers:  # noqa: N801 - reads as the functions above
    """Text that lists classes by their numbers, such as "5 6 17"; empty for none."""

    words: str = "numbers of classes, ascending, separated by spaces, such as 5 6 17"

    def __contains__(self, value: str) -> bool:
        numbers = [int(number) for number in value.split() if re.fullmatch(r"\d{1,3}", number)]
        return value == " ".join(map(str, sorted({*numbers})))


@dataclass(frozen=True)
class checksum:  # noqa: N801 - reads as the functions above
    """A SHA-256, or "none"."""

    words: str = "none, or a SHA-256 (64 of the digits 0-9 and a-f)"

    def __contains__(self, value: str) -> bool:
        return value == "none" or re.fullmatch("[0-9a-f]{64}", value) is not None


class FolderName:
    """Names that stay where they are put: a part of a path, and neither this folder nor the one above."""

    words = "the name of a folder, without / and control characters"

    def __contains__(self, value: str) -> bool:
        return value not in ("", ".", "..") and "/" not in value and is_plain(value)


def check(name: str, value: Any, kind: Any) -> None:
    """ValueError with the name, the value and what is allowed, unless `value` is of the annotated type `kind`.

    kind: int, float, bool, str, list, dict, `list[str]`, a Literal, `str | None`, or a number with its range, such as
    `Annotated[int, at_least(1)]`. A whole number is a float too; NaN and infinity are no numbers.
    """
    if not _fits(value, kind):
        limits = get_args(kind)[1] if get_origin(kind) is Annotated else None
        names = limits.names if isinstance(limits, one_of) else get_args(kind) if get_origin(kind) is Literal else ()
        hint = _below(value) or did_you_mean(value, names)
        raise ValueError(f"{name} = {value!r}; allowed: {words(kind)}{hint}")


def check_fields(name: str, value: Any, kinds: Mapping[str, Any]) -> None:
    """ValueError that names the field, unless `value` has fields of these kinds, as a record in JSON has them.

    kinds: by name, each a kind as in `check` or such a mapping again. "name?" may be missing, "*" is every other field,
    and others are not looked at.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{name or 'the content'} = {value!r}; allowed: {words(dict)}")
    prefix, known = f"{name}." if name else "", {field.removesuffix("?"): kind for field, kind in kinds.items()}
    for field in kinds:
        if field not in value and field != "*" and not field.endswith("?"):
            raise ValueError(f"{prefix}{field} is missing")
    for field, found in value.items():
        kind = known.get(field, known.get("*"))
        if isinstance(kind, Mapping):
            check_fields(f"{prefix}{field}", found, kind)
        elif kind is not None:
            check(f"{prefix}{field}", found, kind)


def each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of an object in JSON (`object_pairs_hook`). ValueError for two of one name: Python drops the first."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands twice")
    return fields


def parse(name: str, value: Any, kind: Any) -> Any:
    """`value` as the type `kind`, of which it may also be the text, such as "0.1" or "off". ValueError as `check`."""
    found = value
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(plain) is Literal:
        found = next((item for item in get_args(plain) if str(item) == str(value)), value)
    elif plain is bool:
        found = {"true": True, "false": False, "on": True, "off": False}.get(str(value).lower(), value)
    elif plain in (int, float) and not isinstance(value, bool):
        try:
            number = plain(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        found = number if (isinstance(value, str) and number is not None) or number == value else value
    elif plain is str:
        found = str(value)
    check(name, found, kind)
    return found


def words(kind: Any) -> str:
    """What a type allows, in words."""
    if get_origin(kind) is Annotated:
        plain, limits = get_args(kind)
        return limits.words if plain is str else f"{words(plain)}{',' if plain is int else ''} {limits.words}"
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(words(item) for item in get_args(kind))
    if get_origin(kind) is list:
        return f"a list, each item {words(get_args(kind)[0])}"
    return _WORDS[kind]


def did_you_mean(name: Any, valid: Iterable[Any]) -> str:
    """The hint " (did you mean ...?)" with the nearest of the valid names, or nothing if none is near."""
    names = {str(item).lower(): item for item in valid}
    near = get_close_matches(str(name).lower(), names, n=1)
    return f" (did you mean {names[near[0]]}?)" if near else ""


_WORDS = {
    int: "a whole number", float: "a number", bool: "true, false", str: "text", NoneType: "nothing",
    dict: "fields by their names", list: "a list",
}  # fmt: skip


def _is_finite(value: float) -> bool:
    """Whether it is a number that other libraries can count with: whole ones have 64 bits there, others 32."""
    return -(2**63) <= value < 2**63 if isinstance(value, int) else abs(value) <= LARGEST


def _below(value: Any) -> str:
    """The bound that a number breaks which is too large for `_is_finite`, in words; "" for others."""
    if isinstance(value, int):
        return "" if _is_finite(value) else ", below 2^63"
    return ", below 3.4e38" if isinstance(value, float) and math.inf > abs(value) > LARGEST else ""


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        plain, limits = get_args(kind)
        return _fits(value, plain) and value in limits
    if get_origin(kind) is Literal:
        return any(value == item and type(value) is type(item) for item in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, item) for item in get_args(kind))
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_fits(item, get_args(kind)[0]) for item in value)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool) and _is_finite(value)
    return value is None if kind is NoneType else isinstance(value, kind)
