"""How often intervals hold the truth, in simulated studies with the variances that were found in this one."""

import numpy as np

from study.statistics.bootstrap import contrast
from study.statistics.random_effects import Variances, interval
from study.statistics.scores import Scores

RESAMPLES = 1000
STUDIES = 20_000
"""Simulated for intervals over random effects, which need no resamples."""
AGREEMENTS = (0, 0.1, 0.25, 0.5)
"""Where ranges of `Interval.agreement` begin."""


def simulated(variances: Variances, studies: int) -> list[np.ndarray]:
    """Pseudo-values of `studies` studies of the same design whose true difference is 0: (S, B, studies) per stratum."""
    rng = np.random.default_rng(0)
    seeds, blocks = variances.seeds, variances.blocks
    shared = np.sqrt(variances.block) * rng.standard_normal((1, blocks, studies))
    return [
        shared
        + np.sqrt(variances.seed) * rng.standard_normal((seeds, 1, studies))
        + np.sqrt(variances.both) * rng.standard_normal((seeds, blocks, studies))
        for _ in range(variances.strata)
    ]


def random_effects_coverage(variances: Variances) -> float:
    """Percent of simulated studies whose interval over random effects holds the truth."""
    found = interval(simulated(variances, STUDIES))
    return 100 * float(np.mean((found.low <= 0) & (found.high >= 0)))


def agreeing_coverage(seeds: int, blocks: int) -> dict[str, float]:
    """Percent of studies whose interval over random effects holds the truth, by how much their seeds agree.

    Simulated without variance between seeds and between blocks, so that seeds agree by chance alone.
    """
    found = interval(simulated(Variances(np.array(0.0), np.array(0.0), np.array(1.0), seeds, blocks), STUDIES))
    holds = (found.low <= 0) & (found.high >= 0)
    return {
        f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} or more": 100 * float(holds[kept].mean())
        for low, high in zip(AGREEMENTS, (*AGREEMENTS[1:], np.inf), strict=True)
        if (kept := (found.agreement >= low) & (found.agreement < high)).any()
    }


def bootstrap_coverage(variances: Variances, studies: int = 200) -> float:
    """The same for the two-level bootstrap, with the score as the mean of its pseudo-values."""
    strata = simulated(variances, studies)
    number = variances.blocks
    drawn = np.random.default_rng(1).multinomial(number, np.full(number, 1 / number), size=RESAMPLES) / number  # (R, B)
    held = 0
    for k in range(studies):
        found = contrast(*([(1.0, _scores(stratum[:, :, k], drawn))] for stratum in strata), seed=k)
        held += found.low <= 0 <= found.high
    return 100 * held / studies


def _scores(values: np.ndarray, drawn: np.ndarray) -> Scores:
    """values: (S, B) pseudo-values. drawn: (R, B) share of each block in each resample."""
    seeds, blocks = values.shape
    return Scores(tuple(range(seeds)), values.mean(1), drawn @ values.T, blocks, blocks)
