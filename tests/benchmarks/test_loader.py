"""The benchmark of the loader: its rows."""

from benchmarks import loader_bench


def test_bench_rows():
    rows = loader_bench("streets", "val", seconds=0.01)
    assert [row["what"] for row in rows] == ["decode each time", "from the cache", "training sample from the cache"]
    slowest = rows[0]["images_per_s"]
    assert slowest > 0 and all(row["ratio"] == row["images_per_s"] / slowest for row in rows)
