"""Leave one video out on CamVid, beside the official split: does a gain hold on every video?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import t as student

from study.evidence import Study
from study.profiles import PROFILES
from study.report import tables
from study.statistics.scores import mean_iou

PROFILE, OFFICIAL, LEFT_OUT = "camvid_videos", "camvid", "Seq05VD"
"""Profile of the folds; that of the official split, and the one video that it trains on no frame of."""


def videos_table(folds: Study | None = None, official: Study | None = None) -> pd.DataFrame:
    """One row per pair of arms: the difference on each left-out video, mean over seeds with each seed in brackets.

    "all videos" is the mean over videos with Student's 95 % interval: a video is one observation, since each has
    trainings of its own. It is blank until all four videos are run. "same sign": whether the difference has one sign on
    all of them. folds, official: the runs of PROFILE and of OFFICIAL; those on the disk unless given.
    """
    folds, official = folds or Study(PROFILE), official or Study(OFFICIAL)
    names = {"0001TP": "", **{name.removeprefix("without_"): f"@{name}" for name in PROFILES[PROFILE].variants}}
    rows = {}
    for a, b in tables.PARTS:
        by_video = {video: _differences(folds, a + at, b + at, video) for video, at in names.items()}
        by_video[LEFT_OUT] = _differences(official, a, b, LEFT_OUT)
        means = [np.mean(list(seeds.values())) for seeds in by_video.values() if seeds]
        rows[f"{a} − {b}"] = {
            **{video: _by_seed(seeds) for video, seeds in by_video.items()},
            "all videos": _interval(np.array(means)) if len(means) == len(by_video) else "",
            "same sign": "" if len(means) < len(by_video) else "yes" if len({*np.sign(means)}) == 1 else "no",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference on the left-out video")


def _differences(study: Study, a: str, b: str, video: str) -> dict[int, float]:
    """a - b in points of mIoU over the test frames of one video, by the seeds that both have."""
    scores = [
        {run.seed: _score(counts.counts, counts.sequences, video)
         for run in study.select(arm) for counts in [run.counts("test")]}
        for arm in (a, b)
    ]  # fmt: skip
    return {seed: scores[0][seed] - scores[1][seed] for seed in sorted(scores[0].keys() & scores[1].keys())}


def _score(counts: np.ndarray, sequences: tuple[str, ...], video: str) -> float:
    """counts: (I, K, 3). ValueError if no frame is of the video."""
    mine = np.array(sequences) == video
    if not mine.any():
        raise ValueError(f"no test frame is of video {video}; there are {', '.join(sorted({*sequences}))}")
    return 100 * float(mean_iou(counts[mine].sum(0, dtype=np.int64)))


def _by_seed(seeds: Mapping[int, float]) -> str:
    if not seeds:
        return "not run"
    each = " ".join(f"{value:+.2f}" for value in seeds.values())
    return f"{np.mean(list(seeds.values())):+.2f} ({each})".replace("-", "−")


def _interval(values: np.ndarray) -> str:
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    mean = values.mean()
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]".replace("-", "−")
