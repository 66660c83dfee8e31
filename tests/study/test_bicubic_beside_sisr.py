"""Tables and charts of runs with a SISR branch have bicubic upsampling beside it: on runs of the repository."""

import json

import numpy as np
import pandas as pd
import pytest

from dsrl_lib.paths import root
from study.evidence import Study
from study.figures.plots import training_curves
from study.report.stages import BICUBIC, stage_curves, stage_table, stages_of
from study.report.taps import tap_table

CAMVID = root() / "results" / "camvid"


def stages(arm: str):
    (first, *_) = Study("camvid").select(arm)
    return stages_of(first.folder)


def test_the_stage_table_has_what_bicubic_reaches_of_runs_that_restore_an_image():
    known = json.loads((CAMVID / "interpolation.json").read_text())["camvid 360x480 x 0.5"]["test"]["psnr_bicubic"]
    head, _, *rows = ([cell.strip() for cell in line.split("|")] for line in stage_table(stages("dsrl")).splitlines())
    place = head.index("test PSNR (dB), bicubic")
    assert [row[place] for row in rows] == ["", f"{known:.2f}", f"{known:.2f}"]  # sssr restores none
    assert "bicubic" not in stage_table(stages("lr"))


def test_the_curves_of_a_run_go_through_all_its_stages():
    found = stages("dsrl")
    losses, accuracy, rate, *_ = stage_curves(found).axes
    assert list(rate.lines[0].get_xdata()) == list(range(1, 16))
    assert [line.get_xdata()[np.isfinite(line.get_ydata())].min() for line in losses.lines] == [1, 6, 11]
    reached = [100 * stage.metrics["val"]["miou"] for stage in found]  # after the last epoch of each
    assert accuracy.lines[0].get_ydata() == pytest.approx(reached, abs=0.01)
    assert list(accuracy.lines[0].get_xdata()) == [5, 10, 15]


def test_the_training_curves_have_it_as_a_line():
    run = stages("dsrl")[-1]
    drawn = {round(line.get_ydata()[0], 2) for axes in training_curves(run.history).axes for line in axes.lines}
    assert round(run.history[BICUBIC].iloc[0], 2) in drawn
    history = run.history.drop(columns=BICUBIC)
    texts = [text.get_text() for axes in training_curves(history).axes for text in axes.texts]
    assert texts == []


def test_the_table_of_taps_has_the_stored_numbers_and_the_trained_branch():
    stored = pd.read_csv(CAMVID / "tables" / "taps.csv", index_col=0)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in tap_table(Study("camvid")).splitlines()]
    shown = {row[0]: row[1:] for row in lines}
    assert shown["linear, from stride 4"][:2] == ["576", f"{stored.loc['linear, from stride 4', 'PSNR (dB)']:.2f}"]
    runs = Study("camvid").select("dsrl")
    mean = sum(run.metrics["val"]["psnr"] for run in runs) / len(runs)
    assert shown["the trained SISR branch of dsrl, all frames"][1] == f"{mean:.2f}"
    assert "Not measured" in tap_table(Study("moving", []))
