"""Paired two-level bootstrap: how sure is a difference between arms, given few seeds and correlated frames?

Two things could have come out otherwise: the training seed, and the images that happen to be in the split.
Both are resampled, with one draw shared by every arm of a comparison, so that what the arms have in common
cancels. Seeds and image blocks are crossed (Owen, 2007, "The pigeonhole bootstrap"). All values are in
points (percent).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from scipy.stats import norm

from study.statistics.scores import Scores

Z95 = float(norm.ppf(0.975))
POWER80 = Z95 + float(norm.ppf(0.80))
"""2.80: an effect of this many standard errors is found in 80 % of studies by a two-sided test at 5 %."""


Score = Any
"""A float, or an array of the shape T of `Scores`."""


@dataclass(frozen=True)
class Difference:
    """A contrast of arms with its 95 % interval. Fields have the shape T of `Scores`: floats for mIoU."""

    estimate: Score
    low: Score
    high: Score
    per_seed: np.ndarray
    """(S, *T): the contrast of each seed; never resampled."""
    seeds: tuple[int, ...]
    images: int
    blocks: int
    levels: tuple[str, ...]
    """What was resampled: "seeds" if there are two or more, "images" if there are two blocks or more. A cost, which is
    measured and not sampled, has "turns" or none (`claims.judge`)."""
    sd_seed: Score
    """Standard deviation of `per_seed`; NaN for one seed."""
    smallest_effect: Score
    """2.80 x the standard error: `smallest` in the rules of claims.toml, which were committed with it."""
    detectable_effect: Score
    """Minimum detectable effect of the design: a true effect that 80 % of such studies would find (two-sided 5 %)."""

    @property
    def interval_shown(self) -> bool:
        """Whether figures, tables and sentences show the interval: that of two seeds is several points wide, and one
        seed has none but that of the images. claims.csv has them all."""
        return len(self.seeds) > 2


Stratum = Sequence[tuple[float, Scores]]


def contrast(*strata: Stratum, seed: int = 0) -> Difference:
    """Mean over strata of sum(weight x mean over seeds of score), with a 95 % percentile interval.

    A stratum is a list of (weight, Scores). Its arms share seeds (those that all of them have) and draws:
    they are paired. Seeds are drawn for each stratum separately, because cells of a factorial that are not
    compared with each other vary independently. A plain difference is one stratum, [(1, a), (-1, b)].

    The bootstrap of S seeds is too narrow when S is small: its variance is (S - 1) / S of the unbiased one,
    and it takes no account of the variance being estimated. So deviations from the mean over seeds are
    stretched by sqrt(S / (S - 1)) x t(0.975, degrees of freedom) / z(0.975). With one seed only images are
    resampled, and with one block of images as well nothing is: the interval is NaN.

    ValueError for arms that share no seed, or were scored on other images.
    """
    parts = [_paired(stratum) for stratum in strata]
    degrees = sum(len(part.seeds) - 1 for part in parts)
    widen = stdtrit(degrees, 0.975) / Z95 if degrees else 0.0
    rng = np.random.default_rng(seed)
    total: np.ndarray = np.zeros(())
    for part in parts:
        number = len(part.seeds)
        mean = part.draws.mean(1)  # (R, *T)
        if number > 1:
            drawn = rng.multinomial(number, np.full(number, 1 / number), size=len(mean))  # (R, S)
            moved = np.einsum("rs,rs...->r...", (drawn - 1) / number, part.draws)  # (R, *T)
            mean = mean + np.sqrt(number / (number - 1)) * widen * moved
        total = total + mean / len(parts)
    spread = pd.DataFrame(total.reshape(len(total), -1))  # (R, T): pandas leaves NaN out
    shape = total.shape[1:]
    common = sorted(set.intersection(*(set(part.seeds) for part in parts)))
    per_seed = np.mean([part.pick(common).points for part in parts], axis=0)
    error = spread.std().to_numpy().reshape(shape)
    levels = (("seeds",) if degrees else ()) + (("images",) if parts[0].blocks > 1 else ())
    if not levels:  # nothing was resampled, so nothing is known
        spread, error = spread * np.nan, error * np.nan
    return Difference(
        estimate=plain(np.mean([part.points.mean(0) for part in parts], axis=0)),
        low=plain(spread.quantile(0.025).to_numpy().reshape(shape)),
        high=plain(spread.quantile(0.975).to_numpy().reshape(shape)),
        per_seed=per_seed,
        seeds=tuple(common),
        images=parts[0].images,
        blocks=parts[0].blocks,
        levels=levels,
        sd_seed=plain(per_seed.std(0, ddof=1)) if len(common) > 1 else float("nan"),
        smallest_effect=plain(POWER80 * error),
        detectable_effect=plain(POWER80 * error),  # of draws that are stretched already
    )


def _paired(stratum: Stratum) -> Scores:
    arms = [scores for _, scores in stratum]
    if len({(scores.images, scores.draws.shape[0]) for scores in arms}) != 1:
        raise ValueError("arms of one comparison must be scored on the same images with the same resamples")
    common = sorted(set.intersection(*(set(scores.seeds) for scores in arms)))
    if not common:
        raise ValueError(f"arms of one comparison share no seed: {[scores.seeds for scores in arms]}")
    picked = [(weight, scores.pick(common)) for weight, scores in stratum]
    return replace(
        picked[0][1],
        points=sum((weight * scores.points for weight, scores in picked), np.zeros(())),
        draws=sum((weight * scores.draws for weight, scores in picked), np.zeros(())),
    )


def plain(value: np.ndarray) -> Score:
    """An array without axes as a float; any other as it is."""
    return float(value) if np.ndim(value) == 0 else value
