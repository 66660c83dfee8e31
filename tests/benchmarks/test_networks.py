"""The benchmarks of whole networks: by a clock that is known, and at toy size."""

from types import SimpleNamespace

import pytest

from benchmarks import networks
from benchmarks.stages import Case, stage_config


def test_images_per_second_are_counted_after_two_steps(monkeypatch):
    """A step of the rival takes half a second, of any other host a second. The first two take a minute more."""
    clock = SimpleNamespace(now=0.0)

    def training_step(config):
        taken = iter((60, 60))

        def step():
            clock.now += next(taken, 0) + (0.5 if config.model.host == networks.RIVAL else 1)

        return step

    monkeypatch.setattr(networks, "training_step", training_step)
    monkeypatch.setattr(networks, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    rows = {row["what"]: (row["images_per_s"], row["ratio"]) for row in networks.training_bench(seconds=1.2)}
    batch = networks._config(networks.RIVAL).optim.batch_size
    assert tuple(rows) == networks.BENCHED and rows.pop(networks.RIVAL) == (2 * batch, 1)
    assert set(rows.values()) == {(batch, 0.5)}


def test_full_networks_are_compared_with_pruned_ones(monkeypatch):
    monkeypatch.setattr(networks, "BENCHED", ("espnetv2_s0.5",))
    toy = stage_config(Case("espnetv2_s0.5", 64, 96, 2, "fp32"), "SSSR + SISR + FA")
    monkeypatch.setattr(networks, "_config", lambda host: toy)
    (row,) = networks.pruning_bench()
    assert row["what"] == "espnetv2_s0.5" and row["pruned_ms"] > 0
    assert row["ratio"] == pytest.approx(row["full_ms"] / row["pruned_ms"])
