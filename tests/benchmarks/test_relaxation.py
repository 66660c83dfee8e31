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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = bench.relaxation_bench(cases=((1, 3, 8, 9),), repeats=1)
    assert [row["form"] for row in rows] == list(bench.FORMS) and {row["shape"] for row in rows} == {"1x3x8x9"}
    plain, published, ours = rows
    assert plain["to_cross_entropy"] == published["to_published"] == 1
    assert ours["to_cross_entropy"] == pytest.approx(ours["milliseconds"] / plain["milliseconds"])
    assert ours["to_published"] == pytest.approx(published["milliseconds"] / ours["milliseconds"])
