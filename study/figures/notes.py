"""What a notebook says in words: a line of text, a table, a difference with its interval."""

from collections.abc import Sequence

import pandas as pd

from study.statistics.bootstrap import Difference


class Note(str):
    """Text that a notebook shows as Markdown."""

    def _repr_markdown_(self) -> str | tuple[str, dict[str, bool]]:
        return str(self)

    @classmethod
    def table(cls, frame: pd.DataFrame) -> "Note":
        """A table whose long texts wrap; it shows the index if the index has a name."""
        frame = frame if frame.index.name is None else frame.reset_index()
        return cls(frame.to_markdown(index=False, disable_numparse=True))


class Answer(Note):
    """What answers the question of a notebook; an executed one repeats it at its top (`execution.answers`)."""

    def _repr_markdown_(self) -> tuple[str, dict[str, bool]]:
        return str(self), {"answer": True}


def words(value: Difference) -> str:
    """Such as "+0.31 mIoU points [−0.20, +0.82], 3 seeds"; one and two seeds have no interval."""
    interval = ends(value.low, value.high) if value.interval_shown else "(too few seeds for an interval)"
    return f"{signed(value.estimate)} mIoU points {interval}, {seeds_of(value)}"


def signed(number: float, decimals: int = 2, plus: str = "+") -> str:
    """Such as "+0.31" and "−0.20", with a minus sign instead of a hyphen; with plus="", "0.31" and "−0.20"."""
    return f"{number:{plus}.{decimals}f}".replace("-", "−")


def ends(low: float, high: float, plus: str = "+") -> str:
    """The ends of an interval, such as "[−0.20, +0.82]"; `plus` as in `signed`."""
    return f"[{signed(low, plus=plus)}, {signed(high, plus=plus)}]"


def seeds_of(value: Difference) -> str:
    """Such as "3 seeds"."""
    number = len(value.seeds)
    return f"{number} seed{'s' * (number > 1)}"


def some(names: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
