"""The clock of the benchmarks."""

from types import SimpleNamespace

from benchmarks import timing


def test_the_median_is_that_of_the_calls_after_the_first(monkeypatch):
    clock, seconds = SimpleNamespace(now=0.0), iter((64.0, 1.0, 8.0, 2.0))

    def run():
        clock.now += next(seconds)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    assert timing.milliseconds(run, repeats=3) == 2000
    assert next(seconds, None) is None
