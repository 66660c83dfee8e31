"""Scores of an arm by seed, on a split and on resamples of its images.

Frames of one video look alike, so images are resampled in blocks of neighbouring frames (Kuensch, 1989,
"The jackknife and the bootstrap for general stationary observations"), and short drives as a whole. A score is
computed from the integer counts summed over the drawn images, and given in points (percent).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsrl_lib.metrics import iou

BLOCK = 10
MANY, SHORT = 20, 3
"""From MANY sequences on, none longer than SHORT blocks, each sequence is one block."""
RESAMPLES = 10_000


def image_blocks(sequences: Sequence[str], block: int = BLOCK) -> np.ndarray:
    """Number of each image's block: about `block` neighbouring frames of one video sequence.

    sequences: (I,) name of each image's sequence, images in the order of time. A sequence of n frames is
    cut into round(n / block) blocks of nearly equal length, at least one. If there are many short sequences, such as
    the drives of IDD-lite, none is cut: blocks are then independent of each other. Returns int (I,), values 0..B-1.
    """
    frames_of: dict[str, list[int]] = {}
    for frame, name in enumerate(sequences):
        frames_of.setdefault(name, []).append(frame)
    whole = len(frames_of) >= MANY and max(map(len, frames_of.values())) <= SHORT * block
    blocks = np.empty(len(sequences), dtype=int)
    total = 0
    for found in frames_of.values():
        frames = np.array(found)
        pieces = [frames] if whole else np.array_split(frames, max(1, round(len(frames) / block)))
        for number, piece in enumerate(pieces):
            blocks[piece] = total + number
        total += len(pieces)
    return blocks


@dataclass(frozen=True)
class Resamples:
    """Draws of image blocks, with replacement; the same object must serve every arm of a comparison."""

    blocks: np.ndarray
    """(I,) block of each image."""
    weights: np.ndarray
    """(R, B) how often each block is in each resample."""

    @staticmethod
    def of(sequences: Sequence[str], block: int = BLOCK, resamples: int = RESAMPLES, seed: int = 0) -> "Resamples":
        """sequences: (I,) video sequence of each image; see `image_blocks`."""
        blocks = image_blocks(sequences, block)
        number = int(blocks.max()) + 1
        draws = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
        return Resamples(blocks, draws.astype(np.float64))


def mean_iou(totals: np.ndarray) -> np.ndarray:
    """Mean over the classes that are present. totals: (..., K, 3). Returns (...); NaN if no class is present."""
    each = iou(totals)  # (..., K)
    present = ~np.isnan(each)
    number = present.sum(-1)
    total = np.where(present, each, 0).sum(-1)
    return np.divide(total, number, out=np.full(number.shape, np.nan), where=number > 0)


@dataclass(frozen=True)
class Scores:
    """One arm's score in points, by seed, on the whole split and on every resample of it.

    T is () for mIoU, (K,) for IoU by class, (bands,) for trimap mIoU.
    """

    seeds: tuple[int, ...]
    points: np.ndarray
    """(S, *T)"""
    draws: np.ndarray
    """(R, S, *T)"""
    images: int
    blocks: int

    def pick(self, seeds: Sequence[int]) -> "Scores":
        """The same scores for some of the seeds."""
        at = [self.seeds.index(seed) for seed in seeds]
        return replace(self, seeds=tuple(seeds), points=self.points[at], draws=self.draws[:, at])


def score(
    counts: Mapping[int, np.ndarray],
    resamples: Resamples,
    statistic: Callable[[np.ndarray], np.ndarray] = mean_iou,
) -> Scores:
    """An arm's score by seed on the split and on each resample.

    counts: seed -> (I, ..., K, 3), images in the order of `resamples`. statistic: (..., K, 3) -> (..., *T),
    `mean_iou` or `dsrl_lib.metrics.iou`. Raises ValueError for no seed or another number of images.
    """
    if not counts:
        raise ValueError("score needs the counts of at least one seed")
    seeds = tuple(sorted(counts))
    images, number = len(resamples.blocks), resamples.weights.shape[1]
    points, draws = [], []
    for seed in seeds:
        values = np.asarray(counts[seed], dtype=np.float64)  # (I, ..., K, 3)
        if len(values) != images:
            raise ValueError(f"seed {seed} has counts of {len(values)} images, the resamples are of {images}")
        by_block = np.zeros((number, *values.shape[1:]))
        np.add.at(by_block, resamples.blocks, values)  # (B, ..., K, 3)
        totals = resamples.weights @ by_block.reshape(number, -1)  # (R, ... * K * 3)
        points.append(100 * statistic(by_block.sum(0)))  # (*T)
        draws.append(100 * statistic(totals.reshape(-1, *values.shape[1:])))  # (R, *T)
    return Scores(seeds, np.stack(points), np.stack(draws, axis=1), images, number)
