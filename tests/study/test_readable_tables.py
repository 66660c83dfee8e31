"""A table as text for people."""

import numpy as np
import pandas as pd
from made_up_runs import MadeUpRun

from study.report import overview
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


def test_the_overview_counts_complete_seeds(monkeypatch):
    monkeypatch.setattr(overview, "load_runs", lambda profile: [MadeUpRun("lr", seed, 50.0) for seed in (0, 2)])
    monkeypatch.setattr(overview, "results_frame", lambda runs: pd.DataFrame({"val_miou": [50.0], "test_miou": 60.0}))
    lines = overview.completion_table("camvid").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert rows[0] == ["arm", "seeds", "val mIoU", "test mIoU"]
    assert rows[2] == ["lr", "2 of 5", "50.0", "60.0"] and rows[3] == ["bilinear", "0 of 5", "", ""]


def test_a_value_without_an_interval_stands_alone():
    table = pd.DataFrame({"mIoU": [63.8], "mIoU low": [np.nan], "mIoU high": [np.nan]})
    assert readable(table).to_dict("list") == {"mIoU": ["63.80"]}
