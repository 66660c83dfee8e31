"""Real CamVid frames through the command line: what is predicted, scored, pruned, exported.

The three frames in tests/frames are from the val split, re-encoded as smaller JPEG. Published weights are used if
DSRL_WEIGHTS has them; otherwise a small network is fitted to the frames.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dsrl_lib import network
from dsrl_lib.__main__ import main
from dsrl_lib.data.class_tables import CAMVID, CITYSCAPES
from dsrl_lib.data.images import read_picture
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import load_split
from dsrl_lib.normalisation import MEAN, STD
from dsrl_lib.paths import data_dir, root, weights_dir
from study.presets import preset

FRAMES = root() / "tests" / "frames"
WHOLE = data_dir() / "camvid"
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


@pytest.fixture(autouse=True)
def frames(monkeypatch, tmp_path) -> Path:
    """CamVid as published, cut down to three val frames."""
    monkeypatch.setenv("DSRL_DATA", str(FRAMES))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    return FRAMES / "camvid" / "val"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """ESPNetv2 from its Cityscapes weights with the rows of CamVid's classes: a good network without any training."""
    path = tmp_path_factory.mktemp("weights") / "camvid.safetensors"
    if published("espnetv2_s_1.0_city_512x256.pth"):
        config = preset("camvid", "bilinear", overrides=["optim.precision=fp32"])
        network.save(network.build(config), config, path)
    else:
        start = ["model.host=espnetv2_s0.5", "model.pretrained=none"]
        config = preset("camvid", "bilinear", overrides=["optim.precision=fp32", *start])
        network.save(fitted(network.build(config)), config, path)
    return path


def published(name: str) -> Path | None:
    path = weights_dir() / "espnetv2" / name
    return path if path.is_file() else None


def fitted(model: nn.Module, steps: int = 60) -> nn.Module:
    """The network after a minute of training on the three frames and their mirror images."""
    folder = FRAMES / "camvid"
    names = sorted(path.stem for path in (folder / "val").iterdir())
    frames = np.stack([read_picture(folder / "val" / f"{name}.jpg") for name in names])
    ids = np.stack([read_picture(folder / "valannot" / f"{name}.png")[..., 0] for name in names])
    images = ((torch.from_numpy(frames) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    images = F.interpolate(images, size=(180, 240), mode="bilinear", antialias=True)  # (3, 3, 180, 240)
    labels = torch.from_numpy(ids).long()  # (3, 360, 480)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for step in range(steps):
        x, y = (images, labels) if step % 2 else (images.flip(-1), labels.flip(-1))
        logits = F.interpolate(model(x)["logits"], size=y.shape[1:], mode="bilinear")
        optimizer.zero_grad()
        F.cross_entropy(logits, y, ignore_index=len(CAMVID.classes)).backward()
        optimizer.step()
    return model


def recall(predicted: np.ndarray, truth: np.ndarray, label: int, class_id: int) -> float:
    return float((predicted == label)[truth == class_id].mean())


@pytest.mark.skipif(not published("espnetv2_s_2.0_city_1024x512.pth"), reason="DSRL_WEIGHTS has no ESPNetv2 weights")
def test_a_published_file_predicts_a_folder_of_frames(dsrl, frames, tmp_path):
    split = load_split("camvid", "val")
    weights = published("espnetv2_s_2.0_city_1024x512.pth")
    printed = dsrl("predict", frames, "--weights", weights, "--host", "espnetv2_s2.0", "--out", tmp_path / "p",
                   "--device", "cpu")  # fmt: skip
    assert "3 images in" in printed
    for name, truth in zip(split.names, split.labels, strict=True):
        ids = read_picture(tmp_path / "p" / "pred" / f"{name}.png")[..., 0]
        assert ids.shape == truth.shape
        for class_id in (ROAD, SKY):  # official label ids, at the frame's own size
            label = CITYSCAPES.label_ids[CAMVID.cityscapes_rows[class_id]]
            assert recall(ids, truth, label, class_id) > 0.85


WHOLE_SPLIT = pytest.param(True, id="whole split", marks=pytest.mark.endurance)


@pytest.mark.parametrize("whole", [pytest.param(False, id="three frames"), WHOLE_SPLIT])
def test_a_split_is_scored_and_predicted(dsrl, weights, tmp_path, monkeypatch, whole):
    if whole:
        if not WHOLE.is_dir() or not published("espnetv2_s_1.0_city_512x256.pth"):
            pytest.skip("DSRL_DATA has no camvid, or DSRL_WEIGHTS no ESPNetv2 weights")
        monkeypatch.setenv("DSRL_DATA", str(WHOLE.parent))
    printed = dsrl("evaluate", "--weights", weights, "--data", "camvid", "--split", "val", "--out", tmp_path / "s",
                   "--device", "cpu")  # fmt: skip
    table = pd.read_csv(tmp_path / "s" / "scores.csv", index_col=0)
    assert list(table.index) == list(CAMVID.classes)
    assert table.loc["Road", "IoU"] > 0.8 and table.loc["Sky", "IoU"] > 0.8 and table.loc["Car", "IoU"] > 0.5
    overall = json.loads((tmp_path / "s" / "scores.json").read_text())["overall"]
    best = 0.6 if published("espnetv2_s_1.0_city_512x256.pth") else 0.8  # fitted to these very frames
    assert 0.4 < overall["mIoU"] < best and f"{100 * overall['mIoU']:.2f}" in printed
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


@pytest.mark.endurance  # ESPNetv2 takes a minute to export; test_export does it with another host
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
    pruned = network.load(tmp_path / "small.safetensors")[0].eval()
    for shape in ((1, 3, 48, 33), (3, 3, 71, 90)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = pruned(normalise(images))["logits"]
        got = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
    least = 0.85 if published("espnetv2_s_1.0_city_512x256.pth") else 0.6  # fitted to frames at LR alone
    assert min(recall(classes, truth, k, k) for k in (ROAD, SKY)) > least
