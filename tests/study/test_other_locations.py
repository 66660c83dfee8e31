"""Networks of adaptive downsampling at other locations: which are evaluated, and what the table makes of the scores."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dsrl_lib.models.downsampling.downsampler import Downsampler
from dsrl_lib.models.downsampling.from_labels import solved_locations
from dsrl_lib.models.downsampling.locations import uniform_locations
from dsrl_lib.paths import root
from study import other_locations
from study.other_locations import MEAN_GRID, OTHER_FRAME, other_locations_table, predicted_grid
from study.presets import preset

LABELS = [np.repeat(np.array([0, 1], np.uint8), (step, 32 - step))[:, None].repeat(48, 1) for step in (8, 20)]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two seeds of `adaptive` and one of the oracle; away from their own locations they lose by a known amount."""
    made = []
    for arm, seed, own in (("adaptive", 0, 0.5), ("adaptive", 1, 0.6), ("adaptive_oracle", 0, 0.7)):
        folder = tmp_path / "smoke" / "runs" / f"{arm}-{seed}"
        folder.mkdir(parents=True)
        (folder / "final.safetensors").touch()
        config = preset("smoke", arm, seed=seed)
        made.append(SimpleNamespace(arm=arm, seed=seed, folder=folder, run_id=folder.name, config=config.to_dict(),
                                    of=config, metrics={"test": {"miou": own}}))  # fmt: skip
    mean = torch.stack([solved_locations(label, made[0].of.downsampling) for label in LABELS]).mean(0)

    def opened(folder):
        (run,) = (run for run in made if run.folder == folder)
        return SimpleNamespace(downsampling=Downsampler(run.of.downsampling, 0.5), own=run), run.of

    def evaluate(model, test, config, details):
        own, seed = model.own.metrics["test"]["miou"], model.own.seed
        if config.downsampling.locations == "mean":
            assert torch.allclose(model.downsampling.fixed, mean) and model.downsampling.scale == 0.5
            return SimpleNamespace(miou=own + 0.004)
        assert config.downsampling.swapped
        return SimpleNamespace(miou=own - 0.01 * (1 + seed))

    monkeypatch.setattr(other_locations, "from_pretrained", opened)
    monkeypatch.setattr(other_locations, "evaluate", evaluate)
    monkeypatch.setattr(other_locations, "load_split", lambda dataset, split: SimpleNamespace(labels=LABELS))
    return made


def test_the_grid_of_the_released_network_is_drawn_beside_the_solved_one(monkeypatch):
    """An untrained auxiliary network predicts the uniform grid."""
    config = preset("smoke", "adaptive")
    model = SimpleNamespace(downsampling=Downsampler(config.downsampling, 0.5))
    monkeypatch.setattr(other_locations, "released", lambda: ["adaptive-smoke", "adaptive-idd"])
    monkeypatch.setattr(other_locations, "from_pretrained", lambda name: (model, config))
    image = np.zeros((32, 48, 3), np.uint8)
    split = SimpleNamespace(images=[image], labels=LABELS[:1])
    drawn = [axes.lines[0].get_xydata() for axes in predicted_grid("smoke", split, 0).figure.axes]
    solved, uniform = (
        grid.flip(-1).reshape(-1, 2).numpy() * (47, 31)
        for grid in (solved_locations(LABELS[0], config.downsampling), uniform_locations((8, 8)))
    )
    np.testing.assert_allclose(drawn[0], solved, atol=1e-4)
    np.testing.assert_allclose(drawn[1], uniform, atol=1e-4)
    monkeypatch.setattr(other_locations, "from_pretrained", lambda name: (model, preset("idd", "adaptive")))
    assert "terms of idd_lite" in predicted_grid("idd", split, 0)
    assert "no weights named `adaptive-camvid`" in predicted_grid("camvid", split, 0)


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_each_run_and_the_mean_of_each_arm(runs):
    assert cells(other_locations_table(runs, test=None)) == [
        ["adaptive", "0", "50.00", "−1.00"],
        ["adaptive", "1", "60.00", "−2.00"],
        ["adaptive", "mean", "55.00", "−1.50"],
        ["adaptive_oracle", "0", "70.00", "−1.00"],
        ["adaptive_oracle", "mean", "70.00", "−1.00"],
    ]


def test_one_grid_is_the_mean_over_the_training_frames(runs):
    shown = cells(other_locations_table(runs[:2], test=None, mean_grid=True))
    assert [row[-1] for row in shown] == ["+0.40"] * 3


def test_what_was_measured_is_shown_where_the_weights_are_not(runs, tmp_path):
    measured = other_locations_table(runs, test=None), other_locations_table(runs[:2], test=None, mean_grid=True)
    kept = (tmp_path / "smoke" / "other_locations.csv").read_text()
    assert kept.splitlines() == [
        "run_id,locations,change",
        "adaptive-0,another frame,-1.00",
        "adaptive-0,mean grid,0.40",
        "adaptive-1,another frame,-2.00",
        "adaptive-1,mean grid,0.40",
        "adaptive_oracle-0,another frame,-1.00",
    ]
    for run in runs:
        (run.folder / "final.safetensors").unlink()
    again = other_locations_table(runs, test=None), other_locations_table(runs[:2], test=None, mean_grid=True)
    assert again == measured
    assert (tmp_path / "smoke" / "other_locations.csv").read_text() == kept


def test_runs_neither_measured_nor_here_are_left_out(runs):
    (runs[0].folder / "final.safetensors").unlink()
    assert [row[1] for row in cells(other_locations_table(runs[:2], test=None))] == ["1", "mean"]
    assert "not here" in other_locations_table(runs[:1], test=None)
    assert "Not run" in other_locations_table([], test=None)


@pytest.mark.parametrize("text", ["", "run_id,change\n", "run_id,locations,change\nadaptive-0,mean grid,much\n"])
def test_a_damaged_record_is_named(runs, tmp_path, text):
    (tmp_path / "smoke" / "other_locations.csv").write_text(text)
    with pytest.raises(ValueError, match=r"other_locations\.csv is not a table of run_id, locations and change"):
        other_locations_table(runs, test=None)


@pytest.mark.parametrize("profile", ["camvid", "idd"])
def test_the_records_in_git_are_of_complete_runs(profile):
    table = pd.read_csv(root() / "results" / profile / "other_locations.csv")
    assert not table.duplicated(["run_id", "locations"]).any() and set(table["locations"]) == {OTHER_FRAME, MEAN_GRID}
    of_results = pd.read_csv(root() / "results" / profile / "results.csv")
    assert set(table["run_id"]) <= set(of_results["run_id"])
