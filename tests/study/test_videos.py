"""Leave one video out on CamVid: the folds by hand, and the table from made-up runs."""

from itertools import chain

import numpy as np
import pytest
from made_up_runs import MadeUpRun
from scipy import stats

from dsrl_lib.data.frames import DataError
from dsrl_lib.data.readers.camvid import fold_frames
from dsrl_lib.registry import DATASETS
from study import plan
from study.claims.judge import judge
from study.counts import Counts
from study.evidence import Study
from study.figures.interval_charts import video_panels
from study.report.provenance import how_measured
from study.report.videos import panels_of, videos_chart, videos_table

FRAMES = {  # video: split -> numbers of its frames, not in the order of their files
    "0001TP": {"train": (6690, 6720, 6750), "test": (8550, 8580)},
    "0006R0": {"train": (930, 960)},
    "0016E5": {"train": (390, 8640, 420), "val": (7959, 7961, 7963)},
    "Seq05VD": {"test": (0, 30, 60, 90)},
}


@pytest.fixture
def camvid(tmp_path):
    """Empty files: a fold is a list of names."""
    for video, splits in FRAMES.items():
        prefix = "f" if video in ("0006R0", "Seq05VD") else ""
        for split, numbers in splits.items():
            for folder in (tmp_path / split, tmp_path / f"{split}annot"):
                folder.mkdir(exist_ok=True)
                for number in numbers:
                    (folder / f"{video}_{prefix}{number:05}.png").touch()
    return tmp_path


def numbers(frames) -> list[tuple[str, int]]:
    return [(frame.sequence, int(frame.name.rpartition("_")[2].lstrip("f"))) for frame in frames]


def test_a_fold_tests_on_one_video_and_validates_on_the_end_of_the_others(camvid):
    fold = {split: numbers(fold_frames(camvid, split, 1)) for split in ("train", "val", "test")}
    assert fold["test"] == [("0001TP", n) for n in (6690, 6720, 6750, 8550, 8580)]
    # The last fifth in the order of time, rounded up: 1 of 2, 2 of 6, 1 of 4.
    assert fold["val"] == [("0006R0", 960), ("0016E5", 7963), ("0016E5", 8640), ("Seq05VD", 90)]
    assert fold["train"] == [
        ("0006R0", 930), ("0016E5", 390), ("0016E5", 420), ("0016E5", 7959), ("0016E5", 7961),
        ("Seq05VD", 0), ("Seq05VD", 30), ("Seq05VD", 60),
    ]  # fmt: skip
    tests = [{video for video, _ in numbers(fold_frames(camvid, "test", k))} for k in (1, 2, 3)]
    assert tests == [{"0001TP"}, {"0006R0"}, {"0016E5"}]
    for k in (1, 2, 3):
        parts = [numbers(fold_frames(camvid, split, k)) for split in ("train", "val", "test")]
        assert sorted(chain(*parts)) == sorted((v, n) for v, s in FRAMES.items() for ns in s.values() for n in ns)


def test_a_frame_without_a_number_is_named(camvid):
    for folder in ("train", "trainannot"):
        (camvid / folder / "0016E5_00390a.png").touch()
    with pytest.raises(
        DataError, match=r"train/0016E5_00390a\.png has no number; allowed: names such as 0001TP_006690"
    ):
        fold_frames(camvid, "train", 1)


def test_the_fold_is_part_of_the_configuration_and_every_stage_has_it():
    planned = plan.planned_runs("camvid_videos")
    assert {run.config.data.dataset for run in planned} == {"camvid_cv1", "camvid_cv2", "camvid_cv3"}
    by_id = {run.run_id: run.config for run in planned}
    for run in planned:
        assert run.parent is None or by_id[run.parent].data == run.config.data
    wanted = {(arm, seed) for arm in ("lr", "bilinear", "sssr_long", "dsrl") for seed in (0, 1)}
    for dataset in by_id.values():
        assert wanted <= {(c.arm, c.seed) for c in by_id.values() if c.data.dataset == dataset.data.dataset}
    official = plan.planned_runs("camvid", arms=["lr"], seeds=[0])[0].config
    fold = next(run.config for run in planned if run.config.arm == "lr")
    assert (fold.model, fold.loss, fold.optim) == (official.model, official.loss, official.optim)
    assert sum(DATASETS["camvid_cv1"].images) == 701


class VideoRun(MadeUpRun):
    """All its test frames are of one video, or, in the official split, those after the first 20."""

    videos: tuple[str, str]

    def counts(self, split: str) -> Counts:
        found = super().counts(split)
        sequences = (self.videos[0],) * 20 + (self.videos[1],) * 40
        images = tuple(f"{video}_{name}" for video, name in zip(sequences, found.images, strict=True))
        return Counts(images, sequences, found.counts, found.trimap, found.trimap_px, found.object_recall)


def run(arm: str, seed: int, points: float, video: str) -> VideoRun:
    if video == "Seq05VD":
        made = VideoRun(arm, seed, points)
        made.__dict__["arrays"][:20, :, 0] = 0  # frames of the training video: they must not count
        made.__dict__["videos"] = ("0001TP", "Seq05VD")
        return made
    at = {"0001TP": (), "0006R0": ("data.dataset=camvid_cv2",), "0016E5": ("data.dataset=camvid_cv3",)}[video]
    made = VideoRun(arm, seed, points, overrides=at, profile="camvid_videos")
    made.__dict__["videos"] = (video, video)
    return made


GAINS = {"0001TP": 1.0, "0006R0": 2.0, "0016E5": -1.0, "Seq05VD": 0.5}


@pytest.fixture(scope="module")
def studies() -> tuple[Study, Study]:
    """The folds and the official split, in which `dsrl` is better by GAINS."""
    made = [
        run(arm, seed, 50 + (gain if arm == "dsrl" else 0), video)
        for video, gain in GAINS.items() for arm in ("lr", "bilinear", "dsrl") for seed in (0, 1)
    ]  # fmt: skip
    return tuple(Study(name, [one for one in made if one.profile == name]) for name in ("camvid_videos", "camvid"))


def test_the_table_has_each_video_and_student_s_interval_over_them(studies):
    table = videos_table(*studies)
    row = table.loc["dsrl − lr"]
    shown = {video: float(row[video].split()[0].replace("−", "-")) for video in GAINS}
    assert shown == pytest.approx(GAINS, abs=0.15)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(list(shown.values())), scale=stats.sem(list(shown.values())))
    expected = [np.mean(list(shown.values())), low, high]
    found = [float(part.strip("[,]").replace("−", "-")) for part in row["all videos"].split()]
    assert found == pytest.approx(expected, abs=0.03)  # of rounded numbers
    assert row["same sign"] == "no"
    assert table.loc["sssr_long − bilinear"].tolist() == ["not run"] * 4 + ["", ""]


def test_the_figure_has_the_numbers_of_the_table(studies):
    folds, official = studies
    figure = video_panels(*panels_of(folds, official))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["dsrl − lr", "bilinear − lr"]  # the other pairs have no runs
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [*GAINS, "all videos"]
    means = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "D"]
    row = videos_table(folds, official).loc["dsrl − lr"]
    assert [f"{x:+.2f}".replace("-", "−") for x in means] == [row[name].split()[0] for name in (*GAINS, "all videos")]


def test_a_profile_without_folds_says_so():
    assert str(videos_chart(Study("idd", []))) == "Videos are left out of CamVid alone."


def test_a_fold_shows_differences_and_judges_no_claim(studies):
    folds, official = (judge(study)["C1"] for study in studies)
    assert folds.verdict == "not judged"
    assert folds.findings[0].measured.estimate == pytest.approx(1, abs=0.15)
    assert official.verdict != "not judged"


def test_it_says_whether_the_data_sets_of_a_profile_share_their_test_frames(studies):
    made = [MadeUpRun(arm, 0, 50, profile="moving") for arm in ("moving_true", "moving_one", "moving_joint")]
    assert " Runs of moving_joint, moving_true have the same test frames. " in str(how_measured(Study("moving", made)))
    folds, official = (str(how_measured(study)) for study in studies)
    assert " Other runs are of camvid_cv2, camvid_cv3, each with a test split of its own: what has an @ " in folds
    assert "test frames" not in official and "Other runs" not in official


def test_it_names_the_video_if_all_test_frames_are_of_one(studies):
    folds, official = (str(how_measured(study)) for study in studies)
    assert " frames of video 0001TP, " in folds and "of video" not in official
