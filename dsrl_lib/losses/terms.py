"""The terms of the loss, in the order in which they are added up: a new term has one entry here.

This file loads no torch, so that charts and history.csv can read it.
"""

from dataclasses import dataclass

from dsrl_lib.config import Loss


@dataclass(frozen=True)
class Term:
    """weight: a number, or the name of the setting in `settings.Loss`. label and colour: for charts."""

    weight: float | str
    label: str
    colour: str

    def weight_in(self, loss: Loss) -> float:
        """The factor of this term in the loss."""
        return getattr(loss, self.weight) if isinstance(self.weight, str) else self.weight


TERMS: dict[str, Term] = {
    "ce": Term(1.0, "CE", "#0072B2"),
    "aux": Term(0.4, "auxiliary CE", "#8a8a8a"),  # weight: DDRNet, Hong et al. 2021, Sec. 4
    "mse": Term("w1", "w1 MSE", "#009E73"),
    "fa": Term("w2", "w2 FA", "#D55E00"),
    "locations": Term(1.0, "locations", "#CC79A7"),
}
"""By key: the name of the column in history.csv, and of the value in what `criterion` returns."""
