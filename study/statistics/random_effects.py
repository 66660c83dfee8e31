"""Seeds and image blocks as crossed random effects: an interval that holds with few seeds.

A study of S seeds that are all scored on the same B blocks of images is the "multi-reader multi-case" design of
diagnostic radiology, with seeds for readers and blocks for cases:

    y_sb = mu + a_s + b_b + e_sb,    variances v_seed, v_block, v_both.

y_sb is the jackknife pseudo-value of block b for seed s, so that scores such as mIoU, which are no means over images,
fit the model. The standard error is that of Dorfman, Berbaum and Metz (1992) in the form of Obuchowski and Rockette
(1995), its degrees of freedom are those of Satterthwaite (1946), as Hillis (2007, 2014) uses them. All values are in
points (percent).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from study.statistics.bootstrap import POWER80, Difference, Score, plain
from study.statistics.scores import mean_iou

LEVEL, POWER = 0.95, 0.80
MOST_SEEDS = 1000
"""More are never asked for: `Variances.seeds_for`."""


def pseudo_values(
    counts: np.ndarray, blocks: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray] = mean_iou
) -> np.ndarray:
    """Jackknife pseudo-values B * score - (B - 1) * score without block b, in points.

    counts: (I, ..., K, 3) of one seed. blocks: (I,) block of each image, 0..B-1. statistic: (..., K, 3) -> (..., *T).
    Returns (B, *T).
    """
    number = int(blocks.max()) + 1
    by_block = np.zeros((number, *counts.shape[1:]))
    np.add.at(by_block, blocks, counts)  # (B, ..., K, 3)
    total = by_block.sum(0)  # (..., K, 3)
    return 100 * (number * statistic(total) - (number - 1) * statistic(total - by_block))  # (B, *T)


@dataclass(frozen=True)
class Variances:
    """Variance components of one contrast, points squared, and the design that they were estimated in."""

    seed: np.ndarray
    block: np.ndarray
    both: np.ndarray
    """Of seeds and blocks together, with all that is left."""
    seeds: int
    blocks: int
    strata: int = 1

    def error(self, seeds: float | np.ndarray | None = None, blocks: float | None = None) -> np.ndarray:
        """Standard error with another number of seeds or blocks; those of the design unless given."""
        seeds, blocks = self.seeds if seeds is None else seeds, self.blocks if blocks is None else blocks
        by_seed = (self.seed + self.both / blocks) / (seeds * self.strata)
        return np.sqrt(by_seed + self.block / blocks)

    def freedom(self, seeds: float | np.ndarray, blocks: float | None = None) -> np.ndarray:
        """Degrees of freedom to expect with another number of seeds or blocks."""
        blocks = self.blocks if blocks is None else blocks
        ms_seed, excess = blocks * self.seed + self.both, self.strata * seeds * self.block
        return satterthwaite(ms_seed, self.strata * (seeds - 1), excess, blocks - 1)

    def seeds_for(self, effect: float, blocks: float | None = None) -> float:
        """Fewest seeds with which a true effect of this size is found in 80 % of studies (two-sided test at 5 %).

        inf if no number of seeds up to MOST_SEEDS is enough on so many blocks of images.
        """
        seeds = np.arange(2, MOST_SEEDS + 1)
        enough = seeds[detectable(self.error(seeds, blocks), self.freedom(seeds, blocks)) <= effect]
        return float(enough[0]) if enough.size else float("inf")


def satterthwaite(
    ms_seed: np.ndarray, free_seed: float | np.ndarray, excess: np.ndarray, free_block: float
) -> np.ndarray:
    """Degrees of freedom of the sum of two mean squares, that of seeds and what blocks add; NaN where both are zero."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return (ms_seed + excess) ** 2 / (ms_seed**2 / free_seed + excess**2 / free_block)


def detectable(error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """The true effect that about 80 % of studies with this standard error would find (two-sided test at 5 %).

    With few degrees of freedom it is more than the 2.80 standard errors of a normal distribution.
    """
    return (student.ppf((1 + LEVEL) / 2, freedom) + student.ppf(POWER, freedom)) * error


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval over seeds and blocks of images. Arrays have the shape T of the score."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    freedom: np.ndarray
    """Degrees of freedom of the t distribution that the interval is from."""
    variances: Variances
    agreement: np.ndarray
    """Mean square of seeds over that of what is left, about 1 or larger. Far below 1 the few seeds happen to agree, and
    the interval is too narrow (`coverage.agreeing_coverage`)."""


def as_difference(found: Interval, bootstrap: Difference) -> Difference:
    """A difference with this interval in the place of its own; what does not depend on the interval stays."""
    return replace(
        bootstrap,
        low=plain(found.low),
        high=plain(found.high),
        smallest_effect=plain(POWER80 * found.error),
        detectable_effect=plain(detectable(found.error, found.freedom)),
    )


def interval(strata: Sequence[np.ndarray], estimate: Score | None = None) -> Interval:
    """The mean over strata of mu, with its 95 % interval.

    strata: (S, B, *T) pseudo-values of one contrast each, with the same S >= 2 and B >= 2. Seeds of different strata
    vary independently; blocks are shared. estimate: the score itself, if it differs from the mean of the pseudo-values.
    ValueError for one seed or one block.
    """
    values = np.stack([np.asarray(stratum, float) for stratum in strata])  # (C, S, B, *T)
    number, seeds, blocks = values.shape[:3]
    if seeds < 2 or blocks < 2:
        raise ValueError(f"{seeds} seeds and {blocks} blocks; an interval needs at least 2 of each")
    by_stratum = values.mean((1, 2), keepdims=True)
    by_seed = values.mean(2, keepdims=True)
    in_stratum = values.mean(1, keepdims=True)
    by_block = values.mean((0, 1))  # (B, *T)
    free_seed, free_block = number * (seeds - 1), blocks - 1
    ms_seed = blocks * np.square(by_seed - by_stratum).sum((0, 1, 2)) / free_seed
    ms_block = number * seeds * np.square(by_block - by_block.mean(0)).sum(0) / free_block
    ms_both = np.square(values - by_seed - in_stratum + by_stratum).sum((0, 1, 2)) / (free_seed * free_block)
    excess = np.maximum(ms_block - ms_both, 0)
    size = number * seeds * blocks
    error = np.sqrt((ms_seed + excess) / size)
    freedom = satterthwaite(ms_seed, free_seed, excess, free_block)
    with np.errstate(over="ignore"):
        agreement = ms_seed / np.maximum(ms_both, np.finfo(float).tiny)
    middle = values.mean((0, 1, 2)) if estimate is None else np.asarray(estimate, float)
    half = student.ppf((1 + LEVEL) / 2, np.nan_to_num(freedom, nan=1.0)) * error
    seed, block = np.maximum(ms_seed - ms_both, 0) / blocks, excess / (number * seeds)
    variances = Variances(seed, block, ms_both, seeds, blocks, number)
    return Interval(middle, middle - half, middle + half, error, freedom, variances, agreement)
