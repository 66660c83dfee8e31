"""A table of numbers as text for people."""

import re

import numpy as np
import pandas as pd

from study.figures.notes import ends, signed

HEADINGS = {"smallest effect visible": "minimum detectable effect"}
"""Column -> its heading for people. Columns of stored files keep their names."""

_HYPHEN = re.compile(r"(?<![\w.])-(?=\d)")
"""A hyphen that is the sign of a number; one inside a name or a date is not."""


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text for people: `x`, `x low`, `x high` become one column, blanks are empty; see `HEADINGS`.

    Numbers below zero have a minus sign, not a hyphen.
    """
    shown = {}
    for name in table.columns:
        if name.endswith((" low", " high")):
            continue
        if f"{name} low" in table:
            triples = table[[name, f"{name} low", f"{name} high"]].to_numpy(float)
            plus = "" if name == "mIoU" else "+"
            shown[name] = [_with_ends(value, low, high, plus) for value, low, high in triples]
        else:
            shown[name] = [_text(value) for value in table[name]]
        shown[name] = [_HYPHEN.sub("−", text) for text in shown[name]]
    return pd.DataFrame(shown, index=table.index).rename(columns=HEADINGS)


def _with_ends(value: float, low: float, high: float, plus: str) -> str:
    """Such as "+0.31 [−0.20, +0.82]"; the value alone if the interval is blank."""
    interval = "" if np.isnan(low) else f" {ends(low, high, plus)}"
    return "" if np.isnan(value) else f"{signed(value, plus=plus)}{interval}"


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if np.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
