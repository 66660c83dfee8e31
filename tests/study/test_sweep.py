"""One command trains an arm at several values of a setting, and draws their validation mIoU."""

import json
import shutil

import pytest
from PIL import Image
from tiny_runs import TINY, tiny

from dsrl_lib.paths import DataError, results_dir
from study import __main__ as command
from study.sweep import sweep


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / "results"))


def given(*words: str) -> list[str]:
    return ["python -m study", "sweep", *words, *(part for item in TINY for part in ("--set", item))]


def test_a_sweep_trains_what_is_missing_and_draws_all(trained, tmp_path, monkeypatch, capsys):
    runs = results_dir() / "smoke" / "runs"
    done = tiny("sssr", "optim.epochs=1")
    shutil.copytree(trained(done), runs / done.run_id)
    out = tmp_path / "chart.png"
    words = ("optim.epochs", "1", "2", "--arm", "sssr", "--device", "cpu", "--out", str(out))
    monkeypatch.setattr("sys.argv", given(*words))
    assert command.main() == 0
    header, first, second, path = capsys.readouterr().out.strip().splitlines()
    assert header.split() == ["value", "seed", "val", "mIoU", "run"] and path == str(out)
    for line, config in ((first, done), (second, tiny("sssr", "optim.epochs=2"))):
        value, seed, points, run = line.split()
        assert (int(value), int(seed), run) == (config.optim.epochs, 0, config.run_id)
        metrics = json.loads((runs / run / "metrics.json").read_text())
        assert float(points) == pytest.approx(100 * metrics["val"]["miou"], abs=0.006)
    with Image.open(out) as picture:
        assert picture.width > 600


@pytest.mark.parametrize(
    ("values", "out", "message"),
    [
        (("0.1", "lots"), "a.png", "loss.w2 = 'lots'"),
        (("0.1", "-1"), "a.png", "loss.w2 = -1"),
        (("0.1", "0.10"), "a.png", "one of them stands twice"),
        ((), "a.png", "values and seeds: none given"),
        (("0.1",), "a.gif", r"a.gif; allowed: names that end with .svg, .pdf, .png"),
    ],
)
def test_a_mistake_shows_before_anything_is_trained(values, out, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sweep("loss.w2", values, tmp_path / out, "smoke", "dsrl", overrides=TINY)
    assert not (results_dir() / "smoke").exists()


def test_an_option_that_no_run_can_have_shows_before_data_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr("study.sweep.load_split", lambda *_: pytest.fail("data were read"))
    for name in ("keep_last", "workers", "devices"):
        with pytest.raises(ValueError, match=f"{name} = -1; allowed: a whole number, ([01] or more|from 0 to)"):
            sweep("optim.lr", ["0.1"], tmp_path / "a.png", "smoke", "lr", overrides=TINY, device="cpu", **{name: -1})


@pytest.mark.parametrize(
    ("setting", "values", "message"),
    [
        ("optim.precision", ("fp32", "fp16"), "optim.precision = fp16 needs a CUDA device"),
        ("data.dataset", ("streets", "cityscapes"), "Cityscapes is not complete: looked for "),
    ],
)
def test_what_this_machine_lacks_shows_before_anything_is_trained(setting, values, message, tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_DATA", str(tmp_path))
    with pytest.raises((ValueError, DataError), match=message):
        sweep(setting, values, tmp_path / "a.png", "smoke", "lr", overrides=TINY, device="cpu", progress=False)
    assert not (results_dir() / "smoke").exists()
