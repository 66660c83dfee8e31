"""The two commonest contrasts of scores."""

from study.statistics.bootstrap import Difference, contrast
from study.statistics.scores import Scores


def difference(a: Scores, b: Scores) -> Difference:
    """Paired difference a - b."""
    return contrast([(1.0, a), (-1.0, b)])


def single(a: Scores) -> Difference:
    """One arm's score with its interval."""
    return contrast([(1.0, a)])
