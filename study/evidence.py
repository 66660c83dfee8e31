"""The runs of a profile, compared: each score computed once, and what was not run said instead of raised."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import pandas as pd

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.metrics import iou
from study.arms import ARMS
from study.catalogue import Run, counts_by_seed, load_runs
from study.claims.judge import Evidence, Verdict, evaluate_claims
from study.claims.rules import load_rules
from study.presets import parent_of
from study.profiles import PROFILES
from study.statistics.bootstrap import Difference, difference, single
from study.statistics.scores import Resamples, Scores, mean_iou, score

KINDS = {"miou": ("counts", mean_iou), "classes": ("counts", iou), "trimap": ("trimap", mean_iou)}
"""What is scored: which counts, and the statistic of their sum over images."""

Pair = tuple[str, str]
"""Two arms a, b; their difference is a - b."""


class Note(str):
    """A line of text that a notebook shows as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)

    @classmethod
    def table(cls, frame: pd.DataFrame) -> "Note":
        """A table whose long texts wrap; the index is shown where it has a name."""
        frame = frame if frame.index.name is None else frame.reset_index()
        return cls(frame.to_markdown(index=False, disable_numparse=True))


class Study:
    """What was run of a profile. An arm without runs is no error: it has no score and is named as not run."""

    def __init__(self, profile: str, runs: Sequence[Run] | None = None) -> None:
        self.profile = profile
        self.runs = load_runs(profile) if runs is None else list(runs)
        self.evidence = Evidence(profile, self.runs, load_rules())
        self._scores: dict[tuple[str, str], Scores] = {}
        self._resamples: dict[tuple[str, ...], Resamples] = {}

    @property
    def interest(self) -> float:
        """Smallest effect of interest of claims.toml, in points."""
        return self.evidence.rules.interest

    @cached_property
    def arms(self) -> list[str]:
        """Arms of the main host that have runs, in the order of arms.ARMS."""
        return [arm for arm in ARMS if self.evidence.select(arm)]

    @property
    def classes(self) -> tuple[str, ...]:
        return class_table(PROFILES[self.profile].base.data.dataset).classes

    def select(self, arm: str) -> list[Run]:
        """Runs of an arm (or arm@variant of claims.toml) by seed."""
        return self.evidence.select(arm)

    def scores(self, arm: str, kind: str = "miou") -> Scores:
        """Score of an arm by seed on test and on resamples that all arms share; kind: one of KINDS."""
        if (arm, kind) not in self._scores:
            what, statistic = KINDS[kind]
            counts, sequences = counts_by_seed(self.select(arm), what)
            if sequences not in self._resamples:
                self._resamples[sequences] = Resamples.of(sequences)
            self._scores[arm, kind] = score(counts, self._resamples[sequences], statistic)
        return self._scores[arm, kind]

    def histories(self, arm: str) -> list[pd.DataFrame]:
        """history.csv of each seed of an arm, after those of the stages that it started from; epochs count on."""
        by_id = {run.run_id: run for run in self.runs}
        found = []
        for run in self.select(arm):
            stages = [run]
            while (parent := by_id.get(stages[0].config["warm_start"])) is not None:
                stages.insert(0, parent)
            before = total_epochs(run) - sum(stage.config["optim"]["epochs"] for stage in stages)
            pieces = []
            for stage in stages:
                pieces.append(stage.history.assign(epoch=stage.history["epoch"] + before))
                before += stage.config["optim"]["epochs"]
            found.append(pd.concat(pieces, ignore_index=True))
        return found

    def single(self, arm: str, kind: str = "miou") -> Difference | None:
        """An arm's score with its interval; None without runs."""
        return single(self.scores(arm, kind)) if self.select(arm) else None

    def difference(self, a: str, b: str, kind: str = "miou") -> Difference | None:
        """a - b, paired by seed; None if the arms share no seed."""
        shared = self.evidence.seeds([a, b])
        return difference(self.scores(a, kind), self.scores(b, kind)) if shared else None

    def differences(self, pairs: Sequence[Pair], kind: str = "miou") -> dict[str, Difference]:
        """`difference` of each pair by name; pairs that were not run are left out."""
        found = {f"{a} − {b}": self.difference(a, b, kind) for a, b in pairs}
        return {name: value for name, value in found.items() if value is not None}

    def not_run(self, arms: Sequence[str]) -> Note:
        """Which of these arms have runs, with how many seeds, and which have none."""
        seeds = {arm: len(self.select(arm)) for arm in dict.fromkeys(arms)}
        there = ", ".join(f"{arm} {number}" for arm, number in seeds.items() if number)
        absent = ", ".join(arm for arm, number in seeds.items() if not number)
        missing = f" **Not run:** {absent}." if absent else ""
        return Note(f"Seeds: {there or 'none'}.{missing}")

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on every claim, by its id."""
        return {verdict.claim.id: verdict for verdict in evaluate_claims(self.profile, self.runs)}

    def verdict(self, name: str) -> Verdict:
        """The verdict on one claim, from the runs of its own arms: much faster than all of them."""
        claim = next(claim for claim in self.evidence.rules.claims if claim.id == name)
        arms = {arm.partition("@")[0] for part in claim.parts for arm in part.arms}
        found = evaluate_claims(self.profile, [run for run in self.runs if run.arm in arms])
        return next(verdict for verdict in found if verdict.claim.id == name)

    @property
    def setting(self) -> Note:
        """How the numbers were made: runs, host, split, evaluation size, intervals."""
        profile = PROFILES[self.profile]
        if not self.runs:
            return Note(f"**No runs of profile `{self.profile}` yet:** `./run_all.sh {self.profile}` makes them.")
        data, counts = profile.base.data, self.runs[0].counts("test")
        return Note(
            f"Profile `{self.profile}` ({profile.expect}) {len(self.runs)} complete runs, host "
            f"{profile.hosts[0]}, {', '.join(sorted({run.env.get('device', '?') for run in self.runs}))}. "
            f"mIoU in points on the test split ({len(counts.images)} frames, {len(self.classes)} classes), which "
            f"chose nothing, at the original label size {data.height}x{data.width}; the last epoch is reported. "
            "Differences are paired by seed; brackets are 95 % intervals of the two-level bootstrap (seeds, and "
            "blocks of neighbouring frames). With one seed they cover the sampling of images only."
        )

    def answer(self, label: str, value: Difference | None, verdict: str, missing: Sequence[str] = ()) -> Note:
        """One sentence: estimate, interval, seeds, host, verdict; or what has to be run first."""
        if value is None:
            return Note(f"**{label}: not run** (missing: {', '.join(missing) or 'every run'}).")
        return Note(f"**{label}: {words(value)}, host {PROFILES[self.profile].hosts[0]}: {verdict}.**")


def words(value: Difference, signed: bool = True) -> str:
    """Such as "+0.31 mIoU points [−0.20, +0.82], 2 seeds"."""
    sign = "+" if signed else ""
    numbers = f"{value.estimate:{sign}.2f} mIoU points [{value.low:{sign}.2f}, {value.high:{sign}.2f}]"
    return f"{numbers.replace('-', '−')}, {seeds_of(value)}"


def seeds_of(value: Difference) -> str:
    """Such as "3 seeds"; one seed says what its interval leaves out."""
    number = len(value.seeds)
    return f"{number} seeds" if number > 1 else "1 seed (image sampling only)"


def total_epochs(run: Run) -> int:
    """Epochs of training that ended in this run, with those of the runs that it started from."""
    config: Config | None = Config.from_dict(run.config)
    total = 0
    while config is not None:
        total += config.optim.epochs
        config = parent_of(config)
    return total


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row a part of a claim: quantity, estimate with interval, resolution, outcome, verdict."""
    rows = []
    for verdict in verdicts:
        for finding in verdict.findings:
            value, cost = finding.measured, bool(finding.part.cost)
            rows.append({
                "claim": verdict.claim.id,
                "part": finding.part.name,
                "measured": "not run: " + ", ".join(finding.missing) if value is None
                else f"{value.estimate:.3f}" if cost else words(value),
                "smallest effect visible": "" if value is None or cost else f"{value.smallest_effect:.2f}",
                "rule": finding.part.test.words if finding.part.test else "shown, decides nothing",
                "outcome": finding.outcome,
                "verdict": verdict.verdict,
            })  # fmt: skip
    return pd.DataFrame(rows)
