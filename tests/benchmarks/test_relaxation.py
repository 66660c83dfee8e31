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


def test_a_step_is_compared_in_each_turn(monkeypatch):
    """The first turn warms up; of the others, the median ratio is not that of the median times."""
    times = iter([9, 9, 2, 2, 4, 6, 8, 16])
    trained = []
    monkeypatch.setattr(bench, "training_step", lambda config, labels: trained.append(config) or config)
    monkeypatch.setattr(bench, "process_seconds", lambda step: next(times))
    (row,) = bench.relaxed_step_bench(cases=(bench.STEPS[0],), repeats=3)
    assert row == {"host": "espnetv2_s1.0", "input": "8x3x180x240", "bilinear": 4, "relaxed": 6, "ratio": 1.5}
    assert [config.loss.segmentation for config in trained] == ["ce", "relaxed"]
    assert bench._blocks(1, 3, 8, 130).unique(dim=1).shape == (1, 1, 130)


def test_a_case_has_the_twenty_planes_of_the_published_form():
    assert [classes + 1 for _, classes, _, _ in bench.CASES] == [12, 20]
