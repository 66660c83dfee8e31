"""Class lists that come with the data: classes.txt of your own data sets, config.json of Mapillary Vistas."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsrl_lib.allowed import check, check_fields, is_plain
from dsrl_lib.metrics import VOID
from dsrl_lib.paths import CLASSES, DataError, data_dir

Colour = tuple[int, int, int]

MOST_CLASSES = 254
"""Class ids are 0..253: 255 is void, and 254 marks a wrong id."""
BEFORE = r"\W*(?P<number>\d+)(?![\w-])(?P<name>.*)"
BEHIND = r"(?P<name>.*?)\s*[,;:=\t(\[]\s*(?P<number>\d+)\W*"
"""Lines with a number before the name, as "1. road" and '"1","road"', and behind it, as "road: 1"; in "Airbus 320" it
is a part of the name."""


@dataclass(frozen=True)
class ClassList:
    """The classes of a file; entry k of `names` and `colours` belongs to class id k."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    ids: dict[int, int]
    """Stored label value to class id, or to 255 (void)."""

    @property
    def stored(self) -> tuple[int, ...]:
        """The value that is stored for each class: void may lie between them."""
        return tuple(value for value, class_id in self.ids.items() if class_id != VOID)


def own_classes(dataset: str) -> ClassList:
    """classes.txt of your own data set: line k, counted from 0, names what is stored as k.

    A line `void` makes its value void, and 255 always is. DataError if it is missing or is no such list.
    """
    path = data_dir() / dataset / CLASSES
    text = _read(path, "one class name per line").rstrip()
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]  # splitlines would cut at more, and move ids
    names = [line for line in lines if line != "void"]
    if "" in lines or len(set(names)) != len(names) or not 2 <= len(names) <= len(lines) <= MOST_CLASSES:
        raise DataError(f"{path} should name 2 to {MOST_CLASSES} different classes, one per line, without blank lines; "
                        f"it has the lines {lines[:9]}")  # fmt: skip
    alike: dict[str, str] = {}
    for name in names:  # `--start` and Cityscapes' classes are matched without regard to it
        if (other := alike.setdefault(name.casefold(), name)) != name:
            raise DataError(f"{path} names {other!r} and {name!r}, which differ in upper and lower case alone; "
                            "allowed: names that differ without it")  # fmt: skip
    for line in lines:
        if re.sub(r"[\W\d_]", "", line).lower() == "void" != line:  # "Void", and "0 void" of a list with numbers
            raise DataError(f"{path} has the line {line!r}: a line that makes its value void is 'void'")
        if "#" in line or line.startswith(("//", "%", ";", "<!--")):  # as a class, it would move the ids of those below
            raise DataError(f"{path} has the line {line!r}; allowed: the name of a class alone, without # and comments")
        if not is_plain(line.replace("\t", " ")):
            raise DataError(f"{path} has the line {line!r}; allowed: text in UTF-8 without control characters")
        if not re.search(r"\w", line) or re.search(r"([\s,;]+\d+){2,}$", line):
            raise DataError(f"{path} has the line {line!r}; allowed: the name of a class alone, as text, not as JSON "
                            "or a table with colours")  # fmt: skip
    _check_numbers(path, lines)
    colours = iter(voc_colours(len(names) + 1)[1:])  # the first is black, as void is
    rows = ((line, None if line == "void" else next(colours)) for line in lines)
    found = _numbered(rows)
    return ClassList(found.names, found.colours, found.ids | {VOID: VOID})


def _check_numbers(path: Path, lines: Sequence[str]) -> None:
    """DataError for lines with numbers before or behind their names, below a head or not, that are not those of the
    lines: the place of a line is its id."""
    for form in (BEFORE, BEHIND):
        found = {place: line for place, text in enumerate(lines) if (line := re.fullmatch(form, text))}
        names = {line["name"].strip() for line in found.values()}
        if len(found) < max(2, len(lines) - 1) or len(names) < len(found):  # numbers can tell names apart: "lane 1"
            continue
        numbers = [int(line["number"]) for line in found.values()]
        if numbers != [*found]:
            shown = ", ".join([line["number"] for line in found.values()][:9])
            raise DataError(f"{path} numbers its lines {shown}; allowed: 0, 1, 2, ... in this order, or names alone: "
                            "what is stored for a class is the number of its line, from 0")  # fmt: skip


def mapillary_classes() -> ClassList:
    """config.json of Mapillary Vistas 1.2: 66 labels in the order of their ids, of which the 65 evaluated are classes.

    DataError if it is missing or is no such file.
    """
    path = data_dir() / "mapillary" / "config.json"
    text = _read(path, "of Mapillary Vistas 1.2, from https://www.mapillary.com/dataset/vistas")
    try:
        labels = json.loads(text)["labels"]
        for number, label in enumerate(labels):
            check_fields(f"label {number}", label, {"readable": str, "color": list[int], "evaluate": bool})
            check(f"the number of colours of label {number}", len(label["color"]), Literal[3])
        rows = [(x["readable"], tuple(x["color"]) if x["evaluate"] else None) for x in labels]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not the list of labels of Mapillary Vistas 1.2: {error!r}") from error
    return _numbered(rows)


def voc_colours(count: int) -> tuple[Colour, ...]:
    """The colours of Pascal VOC (VOCdevkit, VOClabelcolormap): bits 0, 3, 6 of the id are the upper bits of red, ..."""

    def level(k: int, channel: int) -> int:
        return sum((k >> 3 * place + channel & 1) << 7 - place for place in range(3))

    return tuple((level(k, 0), level(k, 1), level(k, 2)) for k in range(count))


def _numbered(rows: Iterable[tuple[str, Colour | None]]) -> ClassList:
    """Names and colours in the order of their stored values; void has no colour."""
    kept: list[tuple[str, Colour]] = []
    ids = {}
    for stored, (name, colour) in enumerate(rows):
        ids[stored] = VOID if colour is None else len(kept)
        kept += [] if colour is None else [(name, colour)]
    return ClassList(tuple(name for name, _ in kept), tuple(colour for _, colour in kept), ids)


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"the class list {path} cannot be read ({error}); allowed: text in UTF-8") from error
    except OSError as error:
        raise DataError(f"the class list {path} cannot be read ({error}): it should be there, {what}; set DSRL_DATA "
                        f"to the folder that contains {path.parent.name}/ (see data/README.md)") from error  # fmt: skip
