"""`python -m study release`: a small file that scores what its run scored, with its record and its card."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_runs import tiny

from dsrl_lib import network
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.deploy.pretrained import open_weights
from dsrl_lib.overrides import override
from dsrl_lib.paths import DataError, released_dir, root
from study.release import release, seen
from study.report import texts
from study.report.model_cards import card, read_record, records, released_table


@pytest.fixture
def run(trained, results):
    """A complete run as from committed code."""
    made = trained(tiny("sssr_sisr"))
    directory = results / "smoke" / "runs" / made.name
    shutil.copytree(made, directory)
    environment = json.loads((directory / "env.json").read_text())
    (directory / "env.json").write_text(json.dumps(environment | {"dirty": False}))
    return directory


def test_a_released_file_scores_what_its_run_scored(run, tmp_path):
    weights, record, page = release(run, folder=tmp_path / "out")
    endings = (".safetensors", ".json", ".md")
    assert [path.name for path in (weights, record, page)] == [f"sssr_sisr-smoke{ending}" for ending in endings]
    assert weights.stat().st_size < (run / "final.safetensors").stat().st_size
    found, stored = read_record(record), json.loads((run / "metrics.json").read_text())
    assert found.miou == pytest.approx(100 * stored["test"]["miou"], abs=0.05)  # folding rounds differently
    assert found.macs == stored["cost"]["macs_pruned"] and found.parameters <= stored["cost"]["params_pruned"]
    assert found.run == run.name and not found.whole and set(found.frames) == {"pixels", "test_names", "test_counts"}
    assert np.sum(found.frames["pixels"], axis=1).tolist() == [360 * 480] * 3
    with np.load(run / "counts_test.npz") as file:
        of_run = dict(zip(file["images"].tolist(), file["counts"], strict=True))
    then = np.stack([of_run[name] for name in found.frames["test_names"]])  # (3, K, 3)
    assert len(set(found.frames["test_names"])) == len(then) == 3
    assert np.abs(then - found.frames["test_counts"]).sum() <= 0.01 * then[..., [0, 2]].sum()  # folding, again
    text = page.read_text()
    assert f"**{found.miou:.2f}** points" in text and all(cls in text for cls in class_table("streets").classes)


@pytest.mark.parametrize(("dataset", "labelled"), [("camvid", True), ("camvid_cv1", True), ("streets", False)])
def test_the_frames_of_camvid_are_scored_for_every_data_set_with_its_classes(dataset, labelled):
    config = override(tiny("sssr"), "data.dataset", dataset)
    frames = seen(network.build(config), config)
    assert np.sum(frames["pixels"], axis=1).tolist() == [360 * 480] * 3
    assert frames.keys() == ({"pixels", "counts"} if labelled else {"pixels"})


def test_the_card_of_another_split_has_the_terms_of_the_frames(tmp_path, monkeypatch):
    record = next(record for record in records().values() if record.config["data"]["dataset"] == "camvid")
    monkeypatch.setenv("DSRL_DATA", str(tmp_path))
    (tmp_path / "town").mkdir()
    (tmp_path / "town/made_from.txt").write_text("camvid\n")
    for dataset in ("camvid_cv1", "town"):
        other = replace(record, config=record.config | {"data": record.config["data"] | {"dataset": dataset}})
        assert other.data == (dataset, *record.data[1:])
    other = replace(record, config=record.config | {"data": record.config["data"] | {"dataset": "voc_sbd"}})
    assert other.data == ("voc_sbd", "Scenes like those of voc_sbd", "The terms of the data set apply.")


def test_a_whole_file_keeps_what_training_needs(run, tmp_path):
    weights, record, _ = release(run, whole=True, folder=tmp_path)
    assert weights.name == "sssr_sisr_whole-smoke.safetensors"
    model, config = open_weights(weights)
    assert model.sisr is not None and config.run_id == run.name and read_record(record).whole


def test_a_run_without_weights_or_from_uncommitted_code_is_refused(run, tmp_path):
    environment = json.loads((run / "env.json").read_text())
    (run / "env.json").write_text(json.dumps(environment | {"dirty": True}))
    with pytest.raises(ValueError, match="cannot be released: made from uncommitted code"):
        release(run, folder=tmp_path / "out")
    (run / "final.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="weights are not kept in git"):
        release(run, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_record_and_card_are_replaced_together(run, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in release(run, folder=out)}
    monkeypatch.setattr("study.release.evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        release(run, folder=out)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_scheduler_that_ends_the_command_leaves_nothing_behind(run, python_m, tmp_path):
    (tmp_path / "program.py").write_text(
        "import os, signal, sys, study.release, study.__main__\n"
        "study.release.evaluate = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(study.__main__.main())"
    )
    command = [*python_m, "program", "release", str(run), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 128 + signal.SIGTERM and list((tmp_path / "out").iterdir()) == [], done.stderr


def test_the_weights_of_another_run_are_not_replaced(run, tmp_path):
    """Such as those of another seed, or of a run of your own data, which have the same arm and profile."""
    (tmp_path / "sssr_sisr-smoke.json").write_text('{"run": "smoke-another"}')
    with pytest.raises(ValueError, match=r"sssr_sisr-smoke.safetensors holds the weights of smoke-another, which woul"):
        release(run, folder=tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".md"])
def test_a_file_of_yours_is_not_replaced(run, tmp_path, suffix):
    yours = tmp_path / "out" / f"sssr_sisr-smoke{suffix}"
    yours.parent.mkdir()
    yours.write_text("mine")
    with pytest.raises(ValueError, match=rf"sssr_sisr-smoke{suffix} is a file that no earlier call wrote"):
        release(run, folder=yours.parent)
    assert [*yours.parent.iterdir()] == [yours] and yours.read_text() == "mine"


def test_nothing_is_replaced_where_it_cannot_be_scored(run, tmp_path, monkeypatch):
    def missing(*_):
        raise DataError("the frames are not here")

    monkeypatch.setattr("study.release.load_split", missing)
    with pytest.raises(DataError, match="the frames are not here"):
        release(run, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"out = .*file: Not a directory"):
        release(run, folder=tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": 3}, r"a\.json is damaged: run = 3; allowed: text"),
        ({"iou": "0.5"}, r"a\.json is damaged: iou = '0.5'; allowed: a list"),
        ({"iou": [0.5, "0.5"]}, r"a\.json is damaged: iou = "),
        ({"megabytes": None}, r"a\.json is damaged: megabytes = None; allowed: a number"),
        ({"config": {"arm": "dsrl"}}, r"a\.json is damaged: config\.profile is missing"),
        ({"environment": {"commit": 7}}, r"a\.json is damaged: environment\.commit = 7; allowed: text"),
        ({"frames": []}, r"a\.json is damaged: frames = \[\]; allowed: fields"),
        ({"more": 1}, r"a\.json: more should not be there"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, change, said):
    content = json.loads(next(released_dir().glob("*.json")).read_text())
    (tmp_path / "a.json").write_text(json.dumps(content | change))
    with pytest.raises(ValueError, match=said):
        read_record(tmp_path / "a.json")


def test_a_record_with_a_missing_entry_is_refused(tmp_path):
    content = json.loads(next(released_dir().glob("*.json")).read_text())
    del content["run"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"a\.json is damaged: run is missing"):
        read_record(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps(content)[:-9])
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        read_record(tmp_path / "a.json")


def test_cards_are_those_of_the_records_but_for_what_the_study_measured():
    """The text around the numbers, which `claims` fills and the audit checks."""
    for name, record in records().items():
        page = (released_dir() / f"{name}.md").read_text()
        empty = texts._NUMBER.sub(lambda match: f"{match[1]}0.00{match[7]}", page)
        assert empty == card(name, record)
    table = released_table()
    assert all(f"{record.miou:.2f} (seed {record.config['seed']})" in table for record in records().values())
    rows = {row[1].strip(" []`").partition("`")[0]: row for row in (line.split("|") for line in table.splitlines()[2:])}
    scores = pd.read_csv(root() / "results" / "camvid" / "results.csv").set_index("run_id")["test_miou"]
    for name in ("dsrl-camvid", "relaxed-camvid"):
        assert rows[name][5].strip() == f"{scores[records()[name].run]:.2f}"
    assert rows["dsrl-camvid"][4].strip().endswith("(seed 0), trained again")
    assert rows["relaxed-camvid"][4].strip().endswith("(seed 0)")  # the weights of the recorded run
