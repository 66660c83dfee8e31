"""claims.toml: the claims, their parts, and the small language of their tests."""

import operator
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from dsrl_lib.allowed import at_least, check
from dsrl_lib.paths import root
from study.arms import ARMS
from study.factorial import main_effect, without_fa
from study.profiles import PROFILES

YES, NO, UNCLEAR, SHOWN = "yes", "no", "unclear", "shown"
NAMES = ("low", "estimate", "high", "smallest", "interest")
_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_COMPARISON = re.compile(r"(\w+) (<=|>=|<|>) (-?[\w.]+)")


@dataclass(frozen=True)
class Criterion:
    """When a part is `yes` and when it is `no`: comparisons of NAMES and numbers, joined by "and" / "or"."""

    words: str
    yes: str
    no: str

    def judge(self, values: Mapping[str, float]) -> str:
        """values: a number for each of NAMES. Returns "yes", "no" or "unclear"."""
        return YES if holds(self.yes, values) else NO if holds(self.no, values) else UNCLEAR


@dataclass(frozen=True)
class Part:
    """One quantity of a claim; exactly one of contrast, effect and cost is given."""

    name: str
    contrast: Mapping[str, float] = field(default_factory=dict)
    """arm, or arm@variant -> weight of its mIoU."""
    within_px: int = 0
    """Of the contrast: the mIoU over the pixels at most so far from a class boundary (trimap); 0: over all pixels."""
    effect: Mapping[str, Any] = field(default_factory=dict)
    """{factor, levels = [a, b]}: main effect a - b in the FA factorial; share = true: in that at equal share of the
    gradient, without pairs of cells in which one has collapsed (`claims.cells`)."""
    cost: Mapping[str, Any] = field(default_factory=dict)
    """{arms = [a, b], of, per}: cost `of` (over cost `per` of the same run); a / b, or a alone."""
    test: Criterion | None = None
    weaker: bool = False
    gate: bool = False
    """A condition for the rest: "no" makes the claim not reproduced, and anything else says nothing."""

    def strata(self) -> list[dict[str, float]]:
        """The contrasts whose mean this part is: one, or one for each pair of cells of a main effect."""
        return main_effect(**self.effect) if self.effect else [dict(self.contrast)]

    @property
    def arms(self) -> list[str]:
        """Every arm (or arm@variant) that the part needs."""
        found = self.cost["arms"] if self.cost else [arm for stratum in self.strata() for arm in stratum]
        return list(dict.fromkeys([*found, *([without_fa(True)] if self.effect.get("share") else [])]))

    @property
    def quantity(self) -> str:
        """The quantity as a formula."""
        if self.cost:
            of = self.cost["of"] + (f" / {self.cost['per']}" if "per" in self.cost else "")
            return f"{of}: {' over '.join(self.cost['arms'])}"
        if self.effect:
            share = ", at equal share" if self.effect.get("share") else ""
            return f"{self.effect['factor']}: {' − '.join(self.effect['levels'])}{share}"
        text = " ".join(f"{'+' if w > 0 else '−'} {'' if abs(w) == 1 else f'{abs(w):g} '}{arm}"
                        for arm, w in self.contrast.items())  # fmt: skip
        where = f", within {self.within_px} px of boundaries" if self.within_px else ""
        return text.removeprefix("+ ") + where

    @property
    def kind(self) -> str:
        """The kind of score that the contrast or effect is about (`evidence.KINDS`)."""
        return f"trimap {self.within_px}" if self.within_px else "miou"


@dataclass(frozen=True)
class Claim:
    """A claim, where it comes from, and the notebook that shows its evidence."""

    id: str
    text: str
    source: str
    notebook: str = ""
    parts: tuple[Part, ...] = ()
    later: bool = False
    """Its runs come after those of the other claims: until there are some, tables say "later" and nothing else."""
    profiles: tuple[str, ...] = ()
    """The profiles that judge it; () for all."""

    def verdict(self, outcomes: Sequence[str]) -> str:
        """The verdict from the outcome of each part; how is written at the top of claims.toml."""
        judged = [(part, outcome) for part, outcome in zip(self.parts, outcomes, strict=True) if part.test]
        if NO in (outcome for part, outcome in judged if part.gate):
            return "not reproduced"
        judged = [(part, outcome) for part, outcome in judged if not part.gate]
        main = [outcome for part, outcome in judged if not part.weaker]
        if all(outcome == YES for outcome in main):
            return "reproduced"
        if NO in main:
            return "partly" if YES in (outcome for _, outcome in judged) else "not reproduced"
        return "inconclusive"


@dataclass(frozen=True)
class Rules:
    """The content of claims.toml."""

    interest: float
    claims: tuple[Claim, ...]
    judge_nothing: tuple[str, ...] = ()
    """Profiles that judge no claim."""

    def of(self, profile: str) -> tuple[Claim, ...]:
        """The claims that a profile has quantities of; it judges them unless it is in `judge_nothing`."""
        return tuple(claim for claim in self.claims if not claim.profiles or profile in claim.profiles)

    def claim(self, name: str) -> Claim:
        """The claim of a name such as "C1"; ValueError, with the valid names, if there is none."""
        by_id = {claim.id: claim for claim in self.claims}
        if name not in by_id:
            raise ValueError(f"unknown claim {name!r}; valid: {', '.join(by_id)}")
        return by_id[name]


def load_rules(path: Path | None = None) -> Rules:
    """Read claims.toml.

    ValueError for an unknown field, test, arm, variant, profile, arm level or name in a test, for a part without its
    quantity, and for a claim without a test that decides.
    """
    path = path or root() / "claims.toml"
    try:
        return _rules(path, tomllib.loads(path.read_text()))
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {error}") from None


def _rules(path: Path, document: Mapping[str, Any]) -> Rules:
    tests = {name: Criterion(**values) for name, values in document["tests"].items()}
    for test in tests.values():
        for expression in (test.yes, test.no):
            holds(expression, dict.fromkeys(NAMES, 0.0))
    variants = {name for profile in PROFILES.values() for name in profile.variants}
    claims = []
    for entry in document["claims"]:
        parts = []
        for values in entry.get("parts", ()):
            if "test" in values and values["test"] not in tests:
                raise ValueError(f"{path}: unknown test {values['test']!r}; there are {', '.join(tests)}")
            part = Part(**values | {"test": tests.get(values.get("test"))})
            if sum(map(bool, (part.contrast, part.effect, part.cost))) != 1:
                raise ValueError(f"{path}: {part.name!r} needs one of contrast, effect and cost")
            unknown = {arm.partition("@")[2] for arm in part.arms} - {"", *variants}
            if unknown:
                raise ValueError(f"{path}: unknown variants {sorted(unknown)} in {part.name!r}")
            if strange := {arm.partition("@")[0] for arm in part.arms} - ARMS.keys():
                raise ValueError(f"{path}: unknown arms {sorted(strange)} in {part.name!r}")
            parts.append(part)
        if not any(part.test and not (part.gate or part.weaker) for part in parts):
            raise ValueError(f"{path}: claim {entry['id']} needs a part with a test that is neither gate nor weaker")
        if strange := {*entry.get("profiles", ())} - PROFILES.keys():
            raise ValueError(f"{path}: unknown profiles {sorted(strange)} of claim {entry['id']}")
        claims.append(Claim(**entry | {"parts": tuple(parts), "profiles": tuple(entry.get("profiles", ()))}))
    check(f"interest in {path}", document["interest"], Annotated[float, at_least(0)])
    nothing = tuple(document.get("judge_nothing", ()))
    if strange := {*nothing} - PROFILES.keys():
        raise ValueError(f"{path}: unknown profiles {sorted(strange)} in judge_nothing")
    return Rules(document["interest"], tuple(claims), nothing)


def holds(expression: str, values: Mapping[str, float]) -> bool:
    """Whether, for example, "low > 0 and high >= 2 or high < interest" holds; "and" binds tighter than "or".

    Any comparison with NaN is false. Raises ValueError for anything else than comparisons of a name of
    `values` with a number or another name.
    """
    cases = [[_compare(term, values) for term in case.split(" and ")] for case in expression.split(" or ")]
    return any(all(case) for case in cases)


def _compare(term: str, values: Mapping[str, float]) -> bool:
    match = _COMPARISON.fullmatch(term.strip())
    if not match or match[1] not in values:
        raise ValueError(f"cannot read {term!r}; expected name < number, names: {', '.join(values)}")
    limit = values[match[3]] if match[3] in values else float(match[3])
    return bool(_OPERATORS[match[2]](values[match[1]], limit))
