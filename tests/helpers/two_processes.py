"""Two processes that share a batch, one after the other: what each gives the others, and what they get."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dsrl_lib.losses import criterion


def in_two_processes(
    monkeypatch: pytest.MonkeyPatch, parts: Callable[[], list[Any]]
) -> tuple[list[Any], list[Any], list[torch.Tensor], list[torch.Tensor]]:
    """parts: computes both processes' values, each with `criterion`'s calls of `distributed`.

    Returns the values as if each were alone, those of two that know each other, and the rows and counts that they gave.
    """
    rows: list[torch.Tensor] = []
    counts: list[torch.Tensor] = []
    monkeypatch.setattr(criterion.distributed, "size", lambda: 2)
    monkeypatch.setattr(criterion.distributed, "join", lambda own: rows.append(own) or own)
    monkeypatch.setattr(criterion.distributed, "weight", lambda count: counts.append(count) or 1)
    alone, given = parts(), list(counts)
    monkeypatch.setattr(criterion.distributed, "join", lambda own: torch.cat(rows))
    monkeypatch.setattr(criterion.distributed, "weight", lambda count: count * 2 / sum(given))
    return alone, parts(), rows, given
