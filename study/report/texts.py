"""README.md, REPORT.md, docs/methods and weights/*.md: their tables and numbers are made from the runs.

A table stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`, NAME of TABLES. A number stands in a mark such as
`<!-- miou: dsrl - lr -->+1.25<!-- end -->`: test mIoU of an arm, or a sum and difference of arms, in points; `, low` or
`, high` after it is an end of the 95 % interval, `, interval` both ends, `, smallest` the minimum detectable effect,
`, seeds` the number of seeds that its arms share. It keeps the sign and the decimals that it is shown with; after
"not run", a difference has a sign and two decimals.
`<!-- idd miou: ... -->` is a number of the profile `idd`, `<!-- miou within 4: ... -->` one within 4 pixels of class
boundaries.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from filelock import FileLock

from dsrl_lib.paths import released_dir, results_dir, root
from dsrl_lib.records import write_atomically
from study.claims.judge import judge
from study.claims.table import markdown
from study.claims.together import BEDS, beds_table, own_claims, verdicts_table
from study.evidence import Study
from study.figures.notes import ends, signed
from study.report import tables
from study.report.departures import departures
from study.report.model_cards import released_table
from study.report.readable import readable
from study.report.reconstruction import quality_by_arm
from study.report.scan import scans_table
from study.report.sensitivity import sensitivity
from study.report.videos import OFFICIAL, videos_table
from study.report.videos import PROFILE as VIDEOS

PUBLISHED = "camvid"
"""The profile whose results README.md and REPORT.md show; a mark may name another."""

MOVING = "moving"
"""The profile of the table `moving_claims`."""

_TABLE = re.compile(r"(<!-- (\w+):begin -->\n)(.*?)(<!-- \2:end -->)", re.DOTALL)
_NUMBER = re.compile(
    r"(<!-- (?:(\w+) )?miou(?: within (\d+))?: ([^>]+?)(?:, (low|high|interval|smallest|seeds))? -->)"
    r"([^<]*)(<!-- end -->)"
)
_TERM = re.compile(r"([+−-]?)\s*([\w@]+)")
_FIELD = {"": "estimate", "smallest": "detectable_effect"}


def _readable(make: Callable[[Study], pd.DataFrame]) -> Callable[[Study], str]:
    return lambda study: readable(make(study)).to_markdown(disable_numparse=True)


def _beds(study: Study) -> list[Study]:
    return [study.beside(bed) for bed in BEDS]


TABLES: dict[str, Callable[[Study], str]] = {
    "claims": lambda study: markdown(judge(study).values(), study.profile),
    "own_claims": lambda study: own_claims(study.beside("idd")),
    "moving_claims": lambda study: own_claims(study.beside(MOVING)),
    "beds": lambda study: beds_table(_beds(study)),
    "verdicts": lambda study: verdicts_table(_beds(study)),
    "sensitivity": lambda study: sensitivity(_beds(study)).to_markdown(index=False),
    "main": _readable(tables.main),
    "differences": _readable(tables.differences),
    "factorial": _readable(tables.factorial),
    "factorial_share": lambda study: _readable(tables.factorial_share)(study.beside("idd")),
    "quality": _readable(quality_by_arm),
    "scan": lambda study: scans_table(_beds(study)).to_markdown(index=False, disable_numparse=True),
    "search": _readable(partial(tables.search, scan=False)),
    "compute": _readable(tables.compute),
    "departures": lambda study: departures(),
    "released": lambda study: released_table(),
    "videos": lambda study: videos_table(study.beside(VIDEOS), study.beside(OFFICIAL)).to_markdown(),
}


def published(profile: str) -> list[Path]:
    """The texts, if any of them shows a profile in a table or in a mark that names it; only in the repository itself.

    Numbers of several profiles stand in one text, so it is right once all of them are.
    """
    if results_dir() != root() / "results":
        return []
    others = [path for folder in (root() / "docs" / "methods", released_dir()) for path in sorted(folder.glob("*.md"))]
    every = (root() / "README.md", results_dir() / PUBLISHED / "REPORT.md", *others)
    found = [path for path in every if path.exists()]
    in_tables = profile in (PUBLISHED, *BEDS, VIDEOS, MOVING)
    return found if in_tables or any(f"<!-- {profile} " in path.read_text() for path in found) else []


def refreshed(text: str, study: Study) -> str:
    """`text` with every table and number as the runs give them; "not run" for a number whose arms share no seed.

    study: of the profile that tables and numbers are of, unless a number names another.
    ValueError for an unknown table.
    """

    def table(match: re.Match) -> str:
        begin, name, _, end = match.groups()
        if name not in TABLES:
            raise ValueError(f"table {name!r} is unknown; allowed: {', '.join(TABLES)}")
        return f"{begin}{TABLES[name](study)}\n{end}"

    def number(match: re.Match) -> str:
        begin, profile, px, expression, field, shown, end = match.groups()
        of = study if profile is None else study.beside(profile)
        return f"{begin}{_number(of, f'trimap {px}' if px else 'miou', expression, field or '', shown)}{end}"

    return _NUMBER.sub(number, _TABLE.sub(table, text))


def write_texts(study: Study, paths: Sequence[Path] | None = None) -> list[Path]:
    """Refresh the texts that show the profile (or `paths`) and return them; no difference if nothing changed."""
    if paths is None:
        found = published(study.profile)
        return write_texts(study.beside(PUBLISHED), found) if found else []
    with FileLock(results_dir() / ".texts.lock"):  # studies of several profiles may end at once
        for path in paths:
            text = _renewed(path, study)
            write_atomically(path, lambda temporary, text=text: temporary.write_text(text))
    return list(paths)


def wrong_lines(study: Study, path: Path) -> list[tuple[str, str]]:
    """Lines of a text that the runs do not give: (line number, what is shown and what is right)."""
    pairs = side_by_side(path.read_text(), _renewed(path, study))
    return [
        (f"line {number}", f"{_cut(a, b)!r} is shown, {_cut(b, a)!r} is right")
        for number, (a, b) in enumerate(pairs, 1) if a != b
    ]  # fmt: skip


def side_by_side(old: str, new: str) -> list[tuple[str, str]]:
    """Lines of two texts side by side, "" if one is shorter."""
    a, b = old.splitlines(), new.splitlines()
    size = max(len(a), len(b))
    return list(zip([*a, *[""] * (size - len(a))], [*b, *[""] * (size - len(b))], strict=True))


def _renewed(path: Path, study: Study) -> str:
    """A text as the runs give it.

    The tables' links start at the repository; a text in results/<profile> needs them from there.
    """
    text = refreshed(path.read_text(), study)
    if path.parent != root() / "results" / study.profile:
        return text
    return text.replace(f"](results/{study.profile}/", "](").replace("](results/", "](../")


def _number(study: Study, kind: str, expression: str, field: str, shown: str) -> str:
    terms = [(-1.0 if sign in ("-", "−") else 1.0, arm) for sign, arm in _TERM.findall(expression)]
    seeds = study.seeds([arm for _, arm in terms])
    if not seeds:
        return "not run"
    if field == "seeds":
        return str(len(seeds))
    value = study.contrast([{arm: weight for weight, arm in terms}], kind)
    if field == "interval":
        plus = "+" if len(terms) > 1 else ""
        return ends(value.low, value.high, plus) if value.interval_shown else "(too few seeds for an interval)"
    plus = "+" if shown[:1] in ("+", "−") or (shown == "not run" and len(terms) > 1) else ""
    return signed(getattr(value, _FIELD.get(field, field)), len(shown.partition(".")[2]) or 2, plus)


def _cut(line: str, other: str, around: int = 30) -> str:
    """The part of a line that differs from another line, with some text around it."""
    same = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    return line[max(0, same - around) : same + around]
