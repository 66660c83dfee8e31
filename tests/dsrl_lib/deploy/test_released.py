"""Released weights: each opens by its name and sees three real frames as it did when it was released.

The frames are of CamVid. Frames of IDD-lite may not be here: those weights must give each class as many pixels of the
CamVid frames as then, and where the data is, score three frames of its test split as then.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dsrl_lib import runs
from dsrl_lib.config import Config
from dsrl_lib.data.frames import read_pair
from dsrl_lib.data.readers import camvid
from dsrl_lib.data.split import load_split
from dsrl_lib.deploy import pretrained
from dsrl_lib.deploy.pretrained import from_pretrained, open_weights, released, weights_of, weights_path
from dsrl_lib.deploy.prune import prune
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.metrics import counts, miou
from dsrl_lib.paths import data_dir, released_dir, root

FRAMES = root() / "tests" / "frames" / "camvid"


def recorded(name: str) -> dict[str, Any]:
    """pixels of each class (3 frames, K), and counts (3, K, 3) if the frames' labels are of the same classes; if not,
    test_names (3) of frames of its own test split, and test_counts (3, K, 3).

    On the CPU that made the weights. Another CPU may round differently.
    """
    return json.loads((released_dir() / f"{name}.json").read_text())["frames"]


def predictions(name: str, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predicted and true class ids of each frame; pairs: images and labels."""
    model, config = from_pretrained(name)
    model.eval()
    found = []
    for image, label in pairs:
        out = forward(model, network_input(image, config), config)
        found.append((class_ids(out["logits"].detach(), label.shape), label))
    return found


def test_every_released_file_has_a_record_and_a_card():
    assert {path.stem for path in released_dir().glob("*.json")} == set(released()) != set()
    assert {path.stem for path in released_dir().glob("*.md")} == {*released(), "README"}
    assert all(path.stat().st_size < 1_000_000 for path in released_dir().glob("*.safetensors"))


@pytest.mark.parametrize("name", released())
def test_released_weights_are_pruned_and_folded_but_for_those_named_whole(name):
    whole = "_whole-" in name
    model, _ = from_pretrained(name)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert (model.sisr is not None) == whole and (norms > 40) == whole  # those after a sum or concatenation stay
    assert json.loads((released_dir() / f"{name}.json").read_text())["whole"] == whole


@pytest.mark.parametrize("name", ["dsrl-camvid", "dsrl_whole-camvid"])
def test_weights_open_in_evaluation_mode_whether_folded_or_not(name):
    model, _ = from_pretrained(name)
    assert not any(module.training for module in model.modules())


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


@pytest.mark.parametrize("name", released())
def test_released_weights_see_the_frames_as_recorded(name):
    then, seen = recorded(name), predictions(name, map(read_pair, camvid.frames(FRAMES, "val")))
    classes = len(then["pixels"][0])
    pixels = np.stack([np.bincount(prediction.ravel(), minlength=classes) for prediction, _ in seen])
    assert np.abs(pixels - then["pixels"]).sum() <= 0.01 * pixels.sum()  # pixels on the border between two classes
    if "counts" in then:
        assert_same_scores(np.stack([counts(*pair, classes) for pair in seen]), np.array(then["counts"]))


def assert_same_scores(now: np.ndarray, then: np.ndarray) -> None:
    """Counts (3, K, 3) of the same frames, but for pixels on the border between two classes."""
    assert (now[..., [0, 2]].sum(-1) == then[..., [0, 2]].sum(-1)).all()  # the labels: they are the same frames
    assert np.abs(now - then).sum() <= 0.01 * then[..., :2].sum()
    assert 100 * miou(now) == pytest.approx(100 * miou(then), abs=0.5)


OF_TEST = [name for name in released() if "test_counts" in recorded(name)]
"""Those of IDD-lite."""


@pytest.mark.parametrize("name", OF_TEST)
def test_released_weights_score_frames_of_their_test_split_as_recorded(name):
    frames, dataset = recorded(name), from_pretrained(name)[1].data.dataset
    then = np.array(frames["test_counts"])
    if not (data_dir() / dataset).is_dir():
        pytest.skip(f"the frames of {dataset} are not here, and may not be in the repository")
    split = load_split(dataset, "test")
    at = [split.names.index(frame) for frame in frames["test_names"]]
    seen = predictions(name, [(np.array(split.images[i]), np.array(split.labels[i])) for i in at])
    assert_same_scores(np.stack([counts(*pair, then.shape[1]) for pair in seen]), then)


@pytest.mark.parametrize("name", OF_TEST)
def test_the_recorded_scores_of_test_frames_are_those_of_the_run(name):
    """Of the run's own counts, which need no data: those weights had batch norms that were not folded."""
    content = json.loads((released_dir() / f"{name}.json").read_text())
    run = root() / "results" / content["config"]["profile"] / "runs" / content["run"]
    with np.load(run / "counts_test.npz") as file:
        of_run = dict(zip(file["images"].tolist(), file["counts"], strict=True))
    frames = content["frames"]
    assert_same_scores(np.array(frames["test_counts"]), np.stack([of_run[frame] for frame in frames["test_names"]]))


def test_weights_of_other_data_than_camvid_have_counts_of_test_frames():
    assert OF_TEST == [name for name in released() if not name.endswith("-camvid")] != []


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
