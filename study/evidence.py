"""The evidence of a profile: its runs, and from them scores and differences, each computed once."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.metrics import iou
from study.arms import ARMS, known_arm
from study.catalogue import Run, counts_by_seed, load_runs, select
from study.profiles import PROFILES
from study.statistics.bootstrap import Difference, Score, contrast
from study.statistics.random_effects import Interval, as_difference, interval, pseudo_values
from study.statistics.scores import Resamples, Scores, image_blocks, mean_iou, score
from study.turns import Turns, read_turns

Statistic = Callable[[np.ndarray], np.ndarray]
KINDS: dict[str, tuple[str, Statistic]] = {
    "miou": ("counts", mean_iou),
    "classes": ("counts", iou),
    "trimap": ("trimap", mean_iou),
    "rings": ("rings", mean_iou),
}
"""Kind of score -> which counts, and the statistic of their sum over images. "trimap" has a score for each band; a
number after it, as in "trimap 4", is the one within so many pixels of a class boundary."""

Pair = tuple[str, str]
"""Two arms a, b; their difference is a - b."""
Strata = Sequence[Mapping[str, float]]
"""Contrasts, each with a weight for each of its arms."""


class Study:
    """The runs of a profile, and the scores of each arm, computed when first asked for.

    An arm is named "arm", or "arm@variant" for the runs of a variant (`Profile.variants`). An arm without runs is no
    error: it has no score.
    """

    def __init__(self, profile: str, runs: Sequence[Run] | None = None) -> None:
        """runs: those on the disk unless given. ValueError for an unknown profile."""
        self.profile = profile
        self.runs = load_runs(profile) if runs is None else list(runs)
        self._scores: dict[tuple[str, str], Scores] = {}
        self._resamples: dict[tuple[str, ...], Resamples] = {}
        self._pseudo_values: dict[tuple[str, str], dict[int, np.ndarray]] = {}
        self._images: dict[str, tuple[str, ...]] = {}
        self._contrasts: dict[tuple, Difference] = {}
        self._beside = {profile: self}

    @cached_property
    def arms(self) -> list[str]:
        """Arms of the main host that have runs, in the order of arms.ARMS."""
        return [arm for arm in ARMS if self.select(arm)]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes of the profile's data set."""
        return class_table(PROFILES[self.profile].base.data.dataset).classes

    def beside(self, profile: str) -> "Study":
        """The study of another profile, read from the disk once for all texts and tables; its own profile is itself."""
        if profile not in self._beside:
            other = self._beside[profile] = Study(profile)
            other._beside = self._beside
        return self._beside[profile]

    def select(self, name: str) -> list[Run]:
        """Runs of an arm by seed; none if the profile does not have the variant. ValueError for an unknown arm."""
        arm, _, variant = name.partition("@")
        known_arm(arm)
        if not variant:
            return select(self.runs, arm)
        how = PROFILES[self.profile].variants.get(variant)
        return select(self.runs, arm, how.host, how.overrides) if how else []

    def seeds(self, arms: Sequence[str]) -> set[int]:
        """Seeds that all of the arms have."""
        return set.intersection(*({run.seed for run in self.select(arm)} for arm in arms))

    @cached_property
    def _turns(self) -> dict[str, Turns]:
        """Of every run by its id."""
        return read_turns(self.profile)

    def turns(self, arms: Sequence[str]) -> dict[str, Turns]:
        """Latencies of each arm turn by turn (`study.turns`); {} unless all of them were measured in turns."""
        found = {
            arm: turns for arm in arms
            if (runs := self.select(arm)) and (turns := self._turns.get(runs[0].run_id))
        }  # fmt: skip
        return found if len(found) == len(set(arms)) else {}

    def scores(self, arm: str, kind: str = "miou") -> Scores:
        """Score of an arm by seed on test, and on resamples that all arms share; kind: one of KINDS."""
        if (arm, kind) not in self._scores:
            counts, sequences, statistic = self._counts(arm, kind)
            if sequences not in self._resamples:
                self._resamples[sequences] = Resamples.of(sequences)
            self._scores[arm, kind] = score(counts, self._resamples[sequences], statistic)
        return self._scores[arm, kind]

    def pseudo_values(self, arm: str, kind: str = "miou") -> dict[int, np.ndarray]:
        """Jackknife pseudo-values of an arm's score over blocks of test images, (B, *T) by seed, in points."""
        if (arm, kind) not in self._pseudo_values:
            counts, sequences, statistic = self._counts(arm, kind)
            blocks = image_blocks(sequences)
            self._pseudo_values[arm, kind] = {
                seed: pseudo_values(found, blocks, statistic) for seed, found in counts.items()
            }
        return self._pseudo_values[arm, kind]

    def _counts(self, arm: str, kind: str) -> tuple[dict[int, np.ndarray], tuple[str, ...], Statistic]:
        """Counts by seed, the sequence of each image, and the statistic of a kind of score."""
        name, _, px = kind.partition(" ")
        if name not in KINDS:
            raise ValueError(f"kind = {kind!r}; allowed: {', '.join(KINDS)}, or trimap with a number of pixels")
        what, statistic = KINDS[name]
        runs = self.select(arm)
        if not runs:
            raise ValueError(f"profile {self.profile} has no run of {arm} here; `not_run` says which arms have runs")
        counts, sequences = counts_by_seed(runs, what)
        if px:
            bands = runs[0].counts("test").trimap_px.tolist()
            if int(px) not in bands:
                raise ValueError(f"{kind}: allowed are {name} with one of {', '.join(map(str, bands))}")
            counts = {seed: found[:, bands.index(int(px))] for seed, found in counts.items()}
        return counts, sequences, statistic

    def bootstrap(self, strata: Strata, kind: str = "miou") -> Difference:
        """The mean over strata of the weighted sum of arms, with the interval of the two-level bootstrap."""
        return contrast(*([(weight, self.scores(arm, kind)) for arm, weight in arms.items()] for arms in strata))

    def random_effects(self, strata: Strata, kind: str = "miou", estimate: Score | None = None) -> Interval | None:
        """The same over seeds and blocks as random effects; None with fewer than two shared seeds or blocks.

        estimate: the score itself; the mean of its pseudo-values unless given.
        """
        shared = sorted(set.intersection(*(self.seeds(list(arms)) for arms in strata)))
        if len(shared) < 2:
            return None
        values = [
            np.stack(
                [sum(weight * self.pseudo_values(arm, kind)[seed] for arm, weight in arms.items()) for seed in shared]
            )
            for arms in strata
        ]  # (S, B, *T) each
        return interval(values, estimate) if values[0].shape[1] > 1 else None

    def contrast(self, strata: Strata, kind: str = "miou") -> Difference:
        """The same with the interval of the profile (`Profile.interval`); with one seed, over images alone.

        strata: weights of arms, of one contrast or of several whose mean is asked for. Every arm must have runs.
        """
        key = (kind, *(tuple(arms.items()) for arms in strata))
        if key not in self._contrasts:
            self._contrasts[key] = self._contrast(strata, kind)
        return self._contrasts[key]

    def _contrast(self, strata: Strata, kind: str) -> Difference:
        for arms in strata:
            self._require_equal_images(list(arms))
        found = self.bootstrap(strata, kind)
        if PROFILES[self.profile].interval == "bootstrap":
            return found
        other = self.random_effects(strata, kind, found.estimate)
        return as_difference(other, found) if other else found

    def _require_equal_images(self, arms: Sequence[str]) -> None:
        for arm in arms:
            if arm not in self._images:
                self._images[arm] = self.select(arm)[0].counts("test").images
            if self._images[arm] != self._images[arms[0]]:
                raise ValueError(f"{arms[0]} and {arm} were evaluated on different images: they cannot be compared")

    def single(self, arm: str, kind: str = "miou") -> Difference | None:
        """An arm's score with its interval; None without runs."""
        return self.contrast([{arm: 1}], kind) if self.select(arm) else None

    def difference(self, a: str, b: str, kind: str = "miou") -> Difference | None:
        """a - b, paired by seed; None if the arms share no seed."""
        return self.contrast([{a: 1, b: -1}], kind) if self.seeds([a, b]) else None

    def differences(self, pairs: Sequence[Pair], kind: str = "miou") -> dict[str, Difference]:
        """`difference` of each pair by name, without the pairs that were not run."""
        found = {f"{a} − {b}": self.difference(a, b, kind) for a, b in pairs}
        return {name: value for name, value in found.items() if value is not None}
