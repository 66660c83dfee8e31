"""Published weights on real CamVid frames through the command line: what is predicted, scored, pruned, exported."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from dsrl_lib import network
from dsrl_lib.__main__ import main
from dsrl_lib.data.class_tables import CAMVID, CITYSCAPES_LABEL_ID
from dsrl_lib.data.images import read_picture
from dsrl_lib.data.split import load_split
from dsrl_lib.models.published import published_weights
from dsrl_lib.paths import data_dir
from study.presets import preset

ROAD, SKY, CAR = (CAMVID.classes.index(name) for name in ("Road", "Sky", "Car"))


@pytest.fixture
def dsrl(monkeypatch, capsys):
    """dsrl(*arguments) -> what was printed; the exit status is 0."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["dsrl", *map(str, arguments)])
        status = main()
        printed, errors = capsys.readouterr()
        assert status == 0, errors
        return printed

    return run


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """ESPNetv2 from its Cityscapes weights with the rows of CamVid's classes: a good network without any training."""
    path = tmp_path_factory.mktemp("weights") / "camvid.safetensors"
    config = preset("camvid", "bilinear", overrides=["optim.precision=fp32"])
    network.save(network.build(config), config, path)
    return path


def recall(predicted: np.ndarray, truth: np.ndarray, label: int, class_id: int) -> float:
    return float((predicted == label)[truth == class_id].mean())


def test_a_published_file_predicts_a_folder_of_frames(dsrl, tmp_path):
    split = load_split("camvid", "val")
    published = published_weights("espnetv2_s2.0", "cityscapes_1024x512")
    frames = sorted((data_dir() / "camvid" / "val").iterdir())[:3]
    printed = dsrl("predict", *frames, "--weights", published, "--host", "espnetv2_s2.0", "--out", tmp_path,
                   "--device", "cpu")  # fmt: skip
    assert "3 images in" in printed
    for frame in frames:
        truth = split.labels[split.names.index(frame.stem)]
        ids = read_picture(tmp_path / "pred" / f"{frame.stem}.png")[..., 0]
        assert ids.shape == truth.shape
        for class_id in (ROAD, SKY):  # official label ids, at the frame's own size
            label = CITYSCAPES_LABEL_ID[CAMVID.cityscapes_rows[class_id]]
            assert recall(ids, truth, label, class_id) > 0.85


def test_a_split_is_scored_and_predicted(dsrl, weights, tmp_path):
    printed = dsrl("evaluate", "--weights", weights, "--data", "camvid", "--split", "val", "--out", tmp_path / "s",
                   "--device", "cpu")  # fmt: skip
    table = pd.read_csv(tmp_path / "s" / "scores.csv", index_col=0)
    assert list(table.index) == list(CAMVID.classes)
    assert table.loc["Road", "IoU"] > 0.8 and table.loc["Sky", "IoU"] > 0.8 and table.loc["Car", "IoU"] > 0.5
    overall = json.loads((tmp_path / "s" / "scores.json").read_text())["overall"]
    assert 0.4 < overall["mIoU"] < 0.6 and f"{100 * overall['mIoU']:.2f}" in printed
    with np.load(tmp_path / "s" / "counts.npz") as file:
        tp, fp, fn = np.moveaxis(file["counts"].sum(0, dtype=np.int64), -1, 0)
    np.testing.assert_allclose(table["IoU"], tp / (tp + fp + fn), atol=1e-6)

    dsrl("predict", "camvid:val", "--weights", weights, "--out", tmp_path / "p", "--device", "cpu")
    split = load_split("camvid", "val")
    hits = np.zeros(len(CAMVID.classes), np.int64)
    for name, truth in zip(split.names, split.labels, strict=True):
        ids = read_picture(tmp_path / "p" / "pred" / f"{name}.png")[..., 0]  # class ids: CamVid has no others
        hits += np.bincount(truth[ids == truth], minlength=256)[: len(hits)]
        wrong = (read_picture(tmp_path / "p" / "diff" / f"{name}.png") > 0).any(-1)
        assert (wrong <= ((ids != truth) & (truth != 255))).all()
    # bilinear resizing before or after a softmax moves a few pixels
    np.testing.assert_allclose(hits, tp, rtol=5e-3)


def test_views_on_real_frames(dsrl, weights, tmp_path):
    found = {}
    for name, options in {"plain": [], "sliding": ["--mode", "sliding"], "flip": ["--flip"]}.items():
        dsrl("evaluate", "--weights", weights, "--data", "camvid", "--out", tmp_path / name, "--device", "cpu",
             *options)  # fmt: skip
        found[name] = json.loads((tmp_path / name / "scores.json").read_text())["overall"]["mIoU"]
    assert found["sliding"] == pytest.approx(found["plain"], abs=1e-3)  # one window of the training crop is the frame
    assert found["plain"] - 0.005 < found["flip"] < found["plain"] + 0.05


def test_pruned_folded_and_exported_files_see_the_same(dsrl, weights, tmp_path):
    assert "before" in dsrl("prune", weights, tmp_path / "small.safetensors", "--fold")
    assert "batch norms folded: yes" in dsrl("inspect", tmp_path / "small.safetensors")
    assert "opset" in dsrl("export", tmp_path / "small.safetensors", tmp_path / "small.onnx")
    split = load_split("camvid", "val")
    frame, truth = split.images[0], split.labels[0]
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": frame.transpose(2, 0, 1)[None]})[0]  # at HR, for a change
    classes = logits[0].argmax(0)
    assert classes.shape == truth.shape
    assert min(recall(classes, truth, k, k) for k in (ROAD, SKY)) > 0.85
