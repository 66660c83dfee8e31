"""Runs from made-up counts whose truth is known."""

import zlib
from functools import cache
from pathlib import Path

import numpy as np

from dsrl_lib.evaluation.details import OBJECT_PX, TRIMAP_PX
from study.catalogue import Run
from study.counts import Counts
from study.presets import preset

IMAGES, CLASSES, PIXELS = 60, 4, 10_000
COST = {"macs_full": 400, "macs_pruned": 187, "macs_host": 100, "prune_bit_equal": True,
        "latency_ms_pruned": 2.0, "latency_ms_host": 1.0}  # fmt: skip


configuration = cache(preset)  # every test asks for those of all arms


class MadeUpRun(Run):
    """A run whose mIoU is about `points`, with small differences between images and seeds."""

    def __init__(self, arm: str, seed: int, points: float, host: str | None = None, overrides=(), profile="camvid"):
        config = configuration(profile, arm, host, seed, overrides)
        super().__init__(Path(config.run_id), config.to_dict(), {"dirty": False}, {"cost": COST})
        rng = np.random.default_rng([seed, zlib.crc32(arm.encode())])
        truth = np.random.default_rng(0).integers(PIXELS // 2, PIXELS, (IMAGES, CLASSES))  # of all runs
        share = points / 100 + rng.normal(0, 0.0005) + rng.normal(0, 0.001, truth.shape)
        hit = np.round(truth * share).astype(int)
        self.__dict__["bands"] = {}  # within so many pixels of a boundary, where it differs
        self.__dict__["arrays"] = np.stack([hit, np.zeros_like(hit), truth - hit], axis=-1)

    def counts(self, split: str) -> Counts:
        names = tuple(f"{i:03d}" for i in range(IMAGES))
        trimap = np.stack([self.bands.get(px, self.arrays) for px in TRIMAP_PX], axis=1)
        found = np.ones((CLASSES, len(OBJECT_PX) + 1, 2), int)
        return Counts(names, ("a",) * 20 + ("b",) * 40, self.arrays, trimap, np.array(TRIMAP_PX), found)
