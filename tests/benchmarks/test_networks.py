"""The benchmarks of whole networks at toy size: each row, and what its ratios are of."""

import pytest

from benchmarks.stages import STAGES, Case, stages_bench


def test_stages_are_compared_with_the_host_in_both_ways():
    rows = stages_bench((Case("espnetv2_s0.5", 64, 96, 2, "fp32"),), repeats=1)
    assert [row["stage"] for row in rows] == list(STAGES)
    lr, bilinear, *_, dsrl = rows
    assert lr["to_lr"] == bilinear["to_bilinear"] == 1
    assert dsrl["to_lr"] * lr["seconds"] == pytest.approx(dsrl["to_bilinear"] * bilinear["seconds"])
    assert dsrl["to_lr"] > 1  # it does all that the host does, and more
