"""A table as text for people."""

import numpy as np
import pandas as pd

from study.report.readable import readable


def test_numbers_below_zero_have_a_minus_sign_and_names_keep_their_hyphen():
    table = pd.DataFrame({
        "gain": [-0.5, 1.25], "gain low": [-1.0, 1.0], "gain high": [0.25, 1.5],
        "by seed": ["-0.05 +0.84", "-3.22 (-1)"], "one": [-0.25, np.nan], "run": ["idd-lr-s0-7c", "2026-11-28"],
    })  # fmt: skip
    assert readable(table).to_dict("list") == {
        "gain": ["−0.50 [−1.00, +0.25]", "+1.25 [+1.00, +1.50]"],
        "by seed": ["−0.05 +0.84", "−3.22 (−1)"],
        "one": ["−0.25", ""],
        "run": ["idd-lr-s0-7c", "2026-11-28"],
    }


def test_a_value_without_an_interval_stands_alone():
    table = pd.DataFrame({"mIoU": [63.8], "mIoU low": [np.nan], "mIoU high": [np.nan]})
    assert readable(table).to_dict("list") == {"mIoU": ["63.80"]}
