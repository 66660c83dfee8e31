"""What cannot be resumed is refused, with nothing lost and no other run begun."""

from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny

from dsrl_lib import runs
from dsrl_lib.data.split import load_split
from dsrl_lib.records import read_json, write_json
from dsrl_lib.training import checkpoint
from dsrl_lib.training.fit import fit
from dsrl_lib.training.resume import resume
from dsrl_lib.training.state import RunState


@pytest.fixture
def cut_off(results):
    """A run of 20 epochs that was cut off in its fourth."""
    config = tiny("lr", "optim.epochs=20")
    state = RunState(config, load_split("streets", "train"), torch.device("cpu"))
    state.step = 3 * state.epoch_steps + 1
    state.history = [{"epoch": k + 1, "step": (k + 1) * state.epoch_steps} for k in range(3)]
    state.sums = {"loss": 1.0}
    directory = runs.folder(config)
    runs.prepare(directory, config)
    checkpoint.save(directory, state.state_dict())
    return directory


@pytest.mark.parametrize(
    ("section", "name", "value", "said"),
    [
        ("optim", "epochs", 1, "was changed: it is the configuration of"),
        ("loss", "w1", 0.5, "was changed: it is the configuration of"),
        ("optim", "optimizer", "lamb", "optim.optimizer = 'lamb'; allowed: adamw, adam, sgd"),
        ("optim", "epochs", "ten", "optim.epochs = 'ten'; allowed: a whole number"),
    ],
)
def test_an_edited_configuration_starts_no_other_run(cut_off, section, name, value, said):
    values = read_json(cut_off / "config.json")
    values[section][name] = value
    write_json(cut_off / "config.json", values)
    with pytest.raises(ValueError, match=f"config.json.*{said}"):
        resume(cut_off, device="cpu")
    assert [path.name for path in cut_off.parent.iterdir()] == [cut_off.name]


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_run_cannot_end_before_the_epoch_that_it_is_in(cut_off, epochs):
    with pytest.raises(ValueError, match=f"optim.epochs = {epochs}; allowed: 4 or more, since 4 have begun"):
        resume(cut_off, [f"optim.epochs={epochs}"], device="cpu")
    assert [path.name for path in cut_off.parent.iterdir()] == [cut_off.name]


def test_a_run_in_another_results_folder_is_left_alone(cut_off, results, tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / "elsewhere"))
    with pytest.raises(ValueError, match="is not in the results folder: set DSRL_RESULTS"):
        resume(cut_off, device="cpu")
    assert not (tmp_path / "elsewhere").exists()


def test_a_changed_run_does_not_begin_anew(cut_off, results):
    """Its configuration says from which step of which run it continues: without that checkpoint it would be untrue."""
    config = replace(runs.read_config(cut_off), continues=f"{cut_off.name}@7")
    with pytest.raises(FileNotFoundError, match=f"its checkpoint is not in .*resume {cut_off.name} --set"):
        fit(config, device="cpu", progress=False)
    assert not runs.folder(config).exists()
