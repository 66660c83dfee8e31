"""The benchmark of the feature-affinity loss: its memory is linear in the number of pixels; its rows."""

import pytest
import torch

from benchmarks import affinity as bench


# The N x N matrices of these cases take 512 MiB and 1 GiB each.
@pytest.mark.parametrize("case", [(2, 3, 3, 64, 128), (1, 6, 10, 128, 128)])
def test_memory_is_linear(case):
    assert bench.extra_memory("feature_affinity", case) < 64


def test_bench_rows(monkeypatch):
    monkeypatch.setattr(bench, "extra_memory", lambda form, case: 1.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = bench.affinity_bench(cases=((1, 2, 2, 4, 4),), repeats=1)
    assert [row["form"] for row in rows] == ["direct", "feature_affinity"]
    assert rows[0]["ratio"] == 1 and all(row["milliseconds"] > 0 for row in rows)
