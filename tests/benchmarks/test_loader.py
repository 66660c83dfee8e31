"""The benchmark of the loader: its rows, and its clock."""

from types import SimpleNamespace

from benchmarks import loader


def test_each_way_of_loading_is_compared_with_decoding_each_time(monkeypatch):
    speeds = iter((4.0, 10.0, 2.0))

    def speed(read, count, seconds):
        read(count - 1)
        return next(speeds)

    monkeypatch.setattr(loader, "_speed", speed)
    ratios = {row["what"]: row["ratio"] for row in loader.loader_bench("streets", "val")}
    assert ratios == {"decode each time": 1, "from the cache": 2.5, "training sample from the cache": 0.5}


def test_frames_count_once_all_have_been_read(monkeypatch):
    clock, read = SimpleNamespace(now=0.0), []

    def half_a_second(i):
        clock.now += 0.5
        read.append(i)

    monkeypatch.setattr(loader, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    assert loader._speed(half_a_second, count=3, seconds=2.0) == 2.0
    assert read == [0, 1, 2, 0, 1, 2, 0]
