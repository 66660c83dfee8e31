"""The benchmark of a training step by stage, at toy size: each row, and what its ratios are of."""

import pytest

from benchmarks import stages
from benchmarks.stages import STAGES, Case, stages_bench

TOY = Case("espnetv2_s0.5", 64, 96, 2, "fp32")


def test_stages_are_compared_with_the_host_in_both_ways():
    rows = stages_bench((TOY,), repeats=1)
    assert [row["stage"] for row in rows] == list(STAGES) and all(row["seconds"] > 0 for row in rows)
    lr, bilinear, *_, dsrl = rows
    assert lr["to_lr"] == bilinear["to_bilinear"] == 1
    assert dsrl["to_lr"] * lr["seconds"] == pytest.approx(dsrl["to_bilinear"] * bilinear["seconds"])


def test_the_fastest_step_after_the_first_counts(monkeypatch):
    """Five stages in turn: their first steps take 1 to 5 seconds, the next ones 16 to 20, the last ones 11 to 15."""
    times = iter([*range(1, 6), *range(16, 21), *range(11, 16)])
    monkeypatch.setattr(stages, "process_seconds", lambda step: next(times))
    rows = stages_bench((TOY,), repeats=2)
    assert [row["seconds"] for row in rows] == [11, 12, 13, 14, 15]
    assert [row["to_lr"] for row in rows] == [seconds / 11 for seconds in range(11, 16)]
    assert [row["to_bilinear"] for row in rows] == [seconds / 12 for seconds in range(11, 16)]
