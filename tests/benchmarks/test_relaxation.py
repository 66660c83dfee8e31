"""The benchmark of label relaxation: its rows, and that the published form is the same loss."""

import pytest
import torch

from benchmarks import relaxation as bench
from dsrl_lib.losses.label_relaxation import relaxed_cross_entropy


def test_the_published_form_is_the_same_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 9, 11, generator=generator)
    labels = torch.randint(5, (2, 9, 11), generator=generator, dtype=torch.uint8)
    labels[0, :4, :4] = labels[1, 2] = 255
    assert bench.published(logits, labels).item() == pytest.approx(relaxed_cross_entropy(logits, labels).item())


def test_bench_rows(monkeypatch):
    """Four forms in turn: the first turn warms up, and of the others the faster one counts."""
    times = iter([9, 9, 9, 9, 4, 2, 7, 6, 1, 5, 8, 3])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(bench, "process_seconds", lambda step: step() and next(times))
    rows = bench.relaxation_bench(cases=((1, 3, 8, 9),), repeats=2)
    assert [row["form"] for row in rows] == list(bench.FORMS) and {row["shape"] for row in rows} == {"1x3x8x9"}
    assert [row["milliseconds"] for row in rows] == [1000, 2000, 7000, 3000]
    assert [rows[3][name] for name in bench.RIVALS] == [3, 3 / 2, 3 / 7]


def test_a_case_has_the_twenty_planes_of_the_published_form():
    assert [classes + 1 for _, classes, _, _ in bench.CASES] == [12, 20]
