"""Released weights: each opens by its name and sees three real frames as it did when it was released."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsrl_lib import runs
from dsrl_lib.config import Config
from dsrl_lib.data.frames import read_pair
from dsrl_lib.data.readers import camvid
import torch
from torch import nn
from dsrl_lib.deploy import pretrained
from dsrl_lib.deploy.pretrained import from_pretrained, open_weights, released, weights_of, weights_path
from dsrl_lib.deploy.prune import prune
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.metrics import counts, miou
from dsrl_lib.paths import released_dir, root

FRAMES = root() / "tests" / "frames" / "camvid"


def recorded(name: str) -> dict[str, Any]:
    """pixels of each class (3 frames, K), and counts (3, K, 3) if the frames' labels are of the same classes.

    On the CPU that made the weights. Another CPU may round differently.
    """
    return json.loads((released_dir() / f"{name}.json").read_text())["frames"]


def predictions(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predicted and true class ids of each frame."""
    model, config = from_pretrained(name)
    model.eval()
    found = []
    for frame in camvid.frames(FRAMES, "val"):
        image, label = read_pair(frame)
        out = forward(model, network_input(image, config), config)
        found.append((class_ids(out["logits"].detach(), label.shape), label))
    return found


def test_every_released_file_has_a_record_and_a_card():
    assert {path.stem for path in released_dir().glob("*.json")} == set(released()) != set()
    assert {path.stem for path in released_dir().glob("*.md")} == {*released(), "README"}
    assert all(path.stat().st_size < 1_000_000 for path in released_dir().glob("*.safetensors"))


@pytest.mark.parametrize("name", released())
def test_released_weights_see_the_frames_as_recorded(name):
    then, seen = recorded(name), predictions(name)
    classes = len(then["pixels"][0])
    pixels = np.stack([np.bincount(prediction.ravel(), minlength=classes) for prediction, _ in seen])
    assert np.abs(pixels - then["pixels"]).sum() <= 0.01 * pixels.sum()  # pixels on the border between two classes
@pytest.mark.parametrize("name", released())
def test_released_weights_are_pruned_and_folded_but_for_those_named_whole(name):
    whole = "_whole-" in name
    model, _ = from_pretrained(name)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert (model.sisr is not None) == whole and (norms > 40) == whole  # those after a sum or concatenation stay
    assert json.loads((released_dir() / f"{name}.json").read_text())["whole"] == whole


@pytest.mark.parametrize("arm", ["dsrl", "sssr_sisr"])
def test_a_pruned_file_is_what_prune_makes_of_the_whole_one(arm, tmp_path):
    whole, small = (released_dir() / f"{name}-camvid.safetensors" for name in (f"{arm}_whole", arm))
    prune(whole, tmp_path / "a.safetensors", fold=True)  # it compares the logits before and after
    (made, _), (here, _) = open_weights(tmp_path / "a.safetensors"), open_weights(small)
    made, here = made.state_dict(), here.state_dict()
    assert made.keys() == here.keys()
    for key, value in here.items():  # another CPU may round a kernel to its neighbour in bfloat16
        torch.testing.assert_close(made[key].float(), value.float(), rtol=2**-7, atol=1e-6)
    prune(whole, tmp_path / "b.safetensors")  # without folding the logits are bit-equal


    if "counts" in then:
        now, then = np.stack([counts(*pair, classes) for pair in seen]), np.array(then["counts"])
        assert np.abs(now - then).sum() <= 0.01 * then[..., :2].sum()
        assert 100 * miou(now) == pytest.approx(100 * miou(then), abs=0.5)


@pytest.mark.parametrize("name", released())
def test_weights_of_a_run_are_its_own_or_else_the_released_ones(name, results):
    config = Config.from_dict(json.loads((released_dir() / f"{name}.json").read_text())["config"])  # of its run
    whole = name if "_whole-" in name else name.replace("-", "_whole-")
    assert weights_of(config) == released_dir() / f"{whole if whole in released() else name}.safetensors"
    assert weights_of(replace(config, seed=8)) is None
    own = runs.folder(config)
    own.mkdir(parents=True)
    (own / runs.WEIGHTS).touch()
    assert weights_of(config) == own


def test_a_folder_of_the_name_of_released_weights_hides_them_only_if_it_holds_some(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dsrl-camvid" / "rgb").mkdir(parents=True)  # predictions, in a folder of that name
    assert weights_path("dsrl-camvid") == released_dir() / "dsrl-camvid.safetensors"
    (tmp_path / "dsrl-camvid" / runs.WEIGHTS).touch()
    assert weights_path("dsrl-camvid") == Path("dsrl-camvid")


def test_a_folder_of_the_name_of_a_run_hides_it_only_if_it_holds_some(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = runs.folder(Config())
    run.mkdir(parents=True)
    (run / "config.json").touch()
    (tmp_path / run.name / "rgb").mkdir(parents=True)  # predictions, in a folder of that name
    (tmp_path / "other").mkdir()
    assert weights_path(run.name) == run and weights_path("other") == Path("other")
    (tmp_path / run.name / runs.WEIGHTS).touch()
    assert weights_path(run.name) == Path(run.name)


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_working_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / runs.WEIGHTS).touch()
    with pytest.raises(ValueError, match=r"an empty name is no weights; released weights: .*dsrl-camvid"):
        from_pretrained(name)


def test_an_unknown_name_lists_the_released_ones(results):
    with pytest.raises(ValueError, match=r"no run 'dsrl-camvit'.*released weights: .*dsrl-camvid"):
        from_pretrained("dsrl-camvit")


def test_a_file_of_yours_beside_the_released_ones_has_no_record(results, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "released_dir", lambda: tmp_path)
    (tmp_path / "mine.safetensors").write_bytes(b"")
    assert weights_of(Config()) is None
