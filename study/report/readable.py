"""A table of numbers as text for people."""

import numpy as np
import pandas as pd

HEADINGS = {"smallest effect visible": "minimum detectable effect"}
"""Column -> its heading for people. Columns of stored files keep their names."""


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text for people: `x`, `x low`, `x high` become one column, blanks are empty; see `HEADINGS`."""
    shown = {}
    for name in table.columns:
        if name.endswith((" low", " high")):
            continue
        if f"{name} low" in table:
            triples = table[[name, f"{name} low", f"{name} high"]].to_numpy(float)
            sign = "" if name == "mIoU" else "+"
            shown[name] = [_interval(*triple, sign) for triple in triples]
        else:
            shown[name] = [_text(value) for value in table[name]]
    return pd.DataFrame(shown, index=table.index).rename(columns=HEADINGS)


def _interval(value: float, low: float, high: float, sign: str) -> str:
    text = f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"
    return "" if np.isnan(value) else text.replace("-", "−")


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if np.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
