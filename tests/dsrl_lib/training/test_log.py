"""What a run shows: a bar where somebody watches it, lines in a log file."""

import pytest
from tiny_runs import tiny

from dsrl_lib.progress import PASSED_ON, bar
from dsrl_lib.training.log import Log

ROW = {"epoch": 2, "step": 8, "loss": 0.5, "val_miou": 0.25, "images_per_s": 31.4159}


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False)])
def test_a_log_file_gets_a_line_per_epoch(capsys, progress, shown):
    with Log(tiny("lr"), None, range(8), 1, progress) as log:
        for _ in range(8):
            log.step()
        log.epoch(ROW)
    line = "lr s0: epoch 2 of 3, loss 0.500, val_miou 0.250, 31.42 images/s\n"
    assert capsys.readouterr().err == (line if shown else "")


def test_a_bar_moves_where_it_is_passed_on_to_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv(PASSED_ON, "1")
    with Log(tiny("lr"), None, range(8), 1, True) as log:
        log.epoch(ROW)
    shown = capsys.readouterr().err
    assert "\rlr s0:" in shown and "epoch 2 of" not in shown


def test_bars_keep_out_of_log_files(capsys):
    assert list(bar(range(3), "hash")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
