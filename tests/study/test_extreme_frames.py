"""The best and the worst frames of notebook 43: against which arm, and how their pictures are called."""

import pandas as pd
from made_up_runs import MadeUpRun

from study.evidence import Study
from study.report.where import extreme_titles, frame_differences


def test_the_rival_is_that_of_the_charts_if_it_was_run():
    made = [MadeUpRun(arm, 0, 50.0) for arm in ("dsrl", "lr", "sssr_long", "bilinear")]
    assert frame_differences(Study("camvid", made)).columns[3] == "bilinear"
    assert frame_differences(Study("camvid", made[:3])).columns[3] == "sssr_long"
    assert frame_differences(Study("camvid", made[:1])) is None


def test_titles_have_the_frame_and_its_difference():
    frames = pd.DataFrame({"frame": ["a-1", "b-2", "c-3"], "difference": [-4.78, 0.1, 3.47]})
    assert extreme_titles(frames) == ["worst: a-1, −4.8 points", "best: c-3, +3.5 points"]
