"""Early stopping: the end of a run whose validation mIoU no longer grows."""

from collections.abc import Mapping, Sequence
from typing import Any


def validations(history: Sequence[Mapping[str, Any]]) -> list[float]:
    """The validation mIoU of every validated epoch, from the rows of history.csv."""
    return [row["val_miou"] for row in history if "val_miou" in row]


def is_best(history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last epoch was validated, with a higher mIoU than every epoch before it."""
    scores = validations(history)
    return bool(scores) and "val_miou" in history[-1] and all(scores[-1] > score for score in scores[:-1])


def ends_early(history: Sequence[Mapping[str, Any]], patience: int) -> bool:
    """Whether the last `patience` validations all brought no higher mIoU than one before them; never for 0.

    It depends on the history alone, which all processes share and every checkpoint holds. So all of them stop
    together, and a run that was killed after its end is not trained further.
    """
    scores = validations(history)
    return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])
