"""Leave one video out on CamVid, beside the official split: does a gain hold on every video?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import t as student

from study.evidence import Study
from study.figures.interval_charts import video_panels
from study.figures.notes import Note
from study.profiles import PROFILES
from study.report import tables
from study.report.readable import readable
from study.statistics.scores import mean_iou

PROFILE, OFFICIAL, LEFT_OUT = "camvid_videos", "camvid", "Seq05VD"
"""Profile of the folds; that of the official split, and the one video that it trains on no frame of."""

Seeds = dict[int, float]
"""A difference in points by seed."""


def video_differences(folds: Study, official: Study) -> dict[str, dict[str, Seeds]]:
    """Differences in points of mIoU over the frames of a left-out video: pair of arms -> video -> seed.

    A video whose fold was not run has no seeds. folds, official: the runs of PROFILE and of OFFICIAL.
    """
    names = {"0001TP": "", **{name.removeprefix("without_"): f"@{name}" for name in PROFILES[PROFILE].variants}}
    found = {}
    for a, b in tables.PARTS:
        by_video = {video: _differences(folds, a + at, b + at, video) for video, at in names.items()}
        found[f"{a} − {b}"] = by_video | {LEFT_OUT: _differences(official, a, b, LEFT_OUT)}
    return found


def over_videos(by_video: Mapping[str, Seeds]) -> tuple[float, float, float] | None:
    """Mean over videos with Student's 95 % interval; None until all videos are run.

    A video is one observation, since each has trainings of its own.
    """
    if not all(by_video.values()):
        return None
    means = np.array([np.mean(list(seeds.values())) for seeds in by_video.values()])
    half = student.ppf(0.975, len(means) - 1) * means.std(ddof=1) / len(means) ** 0.5
    return means.mean(), means.mean() - half, means.mean() + half


def videos_table(folds: Study, official: Study) -> pd.DataFrame:
    """One row per pair of arms: the difference on each left-out video, mean over seeds with each seed in brackets.

    "all videos" is `over_videos`. "same sign": whether the difference has one sign on all of them. Both are blank until
    all four videos are run.
    """
    rows = {}
    for pair, by_video in video_differences(folds, official).items():
        shown = {video: _by_seed(seeds) for video, seeds in by_video.items()} | {"all videos": "", "same sign": ""}
        if found := over_videos(by_video):
            signs = {np.sign(np.mean(list(seeds.values()))) for seeds in by_video.values()}
            numbers = "{:+.2f} [{:+.2f}, {:+.2f}]".format(*found)
            shown |= {"all videos": numbers, "same sign": "yes" if len(signs) == 1 else "no"}
        rows[pair] = shown
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference on the left-out video")
    return readable(table)


def videos_chart(study: Study) -> Figure | Note:
    """The differences of `videos_table` as a figure; a sentence for a profile that has no folds, or if none was run."""
    if study.profile not in (PROFILE, OFFICIAL):
        return Note("Videos are left out of CamVid alone.")
    rows, whole = panels_of(study.beside(PROFILE), study.beside(OFFICIAL))
    return video_panels(rows, whole) if rows else Note("**Not run:** `dsrl`, its parts and its baselines.")


def panels_of(
    folds: Study, official: Study
) -> tuple[dict[str, dict[str, list[float]]], dict[str, tuple[float, float, float] | None]]:
    """What `video_panels` draws: pair -> video -> points by seed, and pair -> `over_videos`; what was run alone."""
    found = {pair: by_video for pair, by_video in video_differences(folds, official).items() if any(by_video.values())}
    rows = {
        pair: {video: list(seeds.values()) for video, seeds in by_video.items() if seeds}
        for pair, by_video in found.items()
    }
    return rows, {pair: over_videos(by_video) for pair, by_video in found.items()}


def _differences(study: Study, a: str, b: str, video: str) -> Seeds:
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


def _by_seed(seeds: Seeds) -> str:
    if not seeds:
        return "not run"
    each = " ".join(f"{value:+.2f}" for value in seeds.values())
    return f"{np.mean(list(seeds.values())):+.2f} ({each})"
