"""The committed table of propagated against true labels: the method page prints it, and the video gives it again."""

import re
from pathlib import Path

import pandas as pd
import pytest

from dsrl_lib.data.class_tables import CAMVID
from dsrl_lib.data.propagation import dis_flow
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.propagation import propagation_quality
from dsrl_lib.paths import data_dir, root
from study.report.propagation import propagation_answer, write_propagation

TABLE = root() / "results" / "camvid" / "propagation.csv"
ROWS = {
    "labels as they are": ("composed", "no motion"),
    "flows of neighbours, composed (as pairs are made)": ("composed", "flow"),
    "one flow over the whole distance": ("direct", "flow"),
}
"""Of the method page: motion and form of the table."""


def test_the_method_page_prints_the_table():
    found = pd.read_csv(TABLE).set_index(["motion", "form"])
    page = (root() / "docs/methods/propagation.md").read_text()
    steps = re.search(r"^\| steps of 1/15 s \| (.+) \|$", page, re.MULTILINE)[1].split(" | ")
    for name, key in ROWS.items():
        printed = re.search(rf"^\| {re.escape(name)} \| (.+) \|$", page, re.MULTILINE)[1].split(" | ")
        rows = found.loc[[key]]
        assert rows["steps"].tolist() == [int(step) for step in steps]
        assert printed == [f"{value:.1f}" for value in rows["mIoU"]]
    for motion, form in (("composed", "consistent"), ("direct", "consistent")):
        kept = found.loc[[(motion, form)]].set_index("steps")["kept"][10]
        assert f"{kept:.0f} %" in page


def test_the_answer_has_the_first_and_the_last_step_of_the_table():
    assert propagation_answer(pd.read_csv(TABLE)) == (
        "**mIoU of propagated against true labels after 1 and 10 steps: 89 % and 73 % by composed flow, 74 % and 43 % "
        "if the labels stay as they are.**"
    )


def test_the_table_is_written_whole(results: Path):
    table = pd.DataFrame({"motion": ["direct"], "steps": [3], "mIoU": [82.2541]})
    assert write_propagation("camvid", table) == results / "camvid" / "propagation.csv"
    assert (results / "camvid" / "propagation.csv").read_text() == "motion,steps,mIoU\ndirect,3,82.254\n"


@pytest.mark.endurance  # half a minute of optical flow
def test_the_video_gives_the_table_again():
    pytest.importorskip("cv2", reason="OpenCV is optional")
    if not (data_dir() / "camvid" / "val").is_dir():
        pytest.skip("DSRL_DATA has no camvid")
    video = load_split("camvid", "val")
    again = propagation_quality(video, len(CAMVID.classes), (10,), dis_flow, every=2, direct=True, progress=False)
    known = pd.read_csv(TABLE).query("motion == 'direct' and steps == 10")
    assert again["pairs"].tolist() == known["pairs"].tolist() == [46] * 3
    columns = ["mIoU", "near", "kept"]
    assert again[columns].to_numpy() == pytest.approx(known[columns].to_numpy(), abs=0.3)  # versions of OpenCV differ
