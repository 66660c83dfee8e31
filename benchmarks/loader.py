"""Loading from the decoded cache against decoding the files each time, and the whole training sample."""

import time
from collections.abc import Callable

from dsrl_lib.config import Data
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.frames import read_pair
from dsrl_lib.data.split import list_frames, load_split


def loader_bench(dataset: str, split: str, seconds: float = 1.0) -> list[dict[str, str | float]]:
    """Rows with `what`, `images_per_s` (one thread) and `ratio` to decoding each time.

    A frame counts when image and label map are in memory as uint8 arrays. `training sample` adds the random
    resized crop at the size of the frame, flip, colour and the LR input.
    """
    frames, loaded = list_frames(dataset, split), load_split(dataset, split)
    height, width = loaded.labels[0].shape
    data = Data(dataset, height, width, height, width)  # type: ignore[arg-type]
    samples = TrainingSet(loaded, data, seed=0, input_scale=0.5)

    def copy(i: int) -> None:
        loaded.images[i].copy(), loaded.labels[i].copy()

    ways: dict[str, Callable[[int], object]] = {
        "decode each time": lambda i: read_pair(frames[i]),
        "from the cache": copy,
        "training sample from the cache": lambda i: samples[0, i],
    }
    speeds = {what: _speed(read, len(frames), seconds) for what, read in ways.items()}
    slowest = speeds["decode each time"]
    return [{"what": what, "images_per_s": speed, "ratio": speed / slowest} for what, speed in speeds.items()]


def _speed(read: Callable[[int], object], count: int, seconds: float) -> float:
    for i in range(count):  # bring the files into memory: the disk is not what is compared
        read(i)
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        read(done % count)
        done += 1
    return done / passed
