"""Views of an image: windows cover it, flips mirror, scales average; sizes of all kinds; scores against the study's."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from dsrl_lib import network
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import load_split
from dsrl_lib.data.transforms import evaluation_input
from dsrl_lib.evaluation import scoring
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.evaluation.tta import hr_size, scores, windows
from dsrl_lib.evaluation.view import View
from study.presets import preset

SMALL = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.precision=fp32")


def small(arm: str):
    torch.manual_seed(0)
    config = preset("smoke", arm, overrides=SMALL)
    return network.build(config).eval(), config


class Pointwise(torch.nn.Module):
    """Logits of a pixel from its own colour alone, so that windows cannot matter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 1)

    def forward(self, x):
        return {"logits": self.conv(x)}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("length", "window", "overlap"), [(10, 4, 0.5), (11, 4, 0.25), (7, 7, 0), (5, 9, 0.3), (9, 4, 0)]
)
def test_windows_cover_everything_with_at_least_the_overlap(length, window, overlap):
    starts = windows(length, window, overlap)
    seen = np.zeros(length, int)
    for start in starts:
        seen[start : start + window] += 1
    assert seen.min() >= 1 and starts[0] == 0 and starts[-1] == max(0, length - window)
    assert all(a + window - b >= np.ceil(window * overlap) for a, b in pairwise(starts))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_windows_of_a_pointwise_network_change_nothing(average):
    torch.manual_seed(0)
    model, config = Pointwise(), small("lr")[1]
    image = picture(50, 70)
    whole = scores(model, image, config, View(average=average))
    sliding = scores(model, image, config, View(mode="sliding", average=average))
    if average == "logits":
        torch.testing.assert_close(sliding, whole, rtol=1e-4, atol=1e-5)
    else:  # a logarithm and a softmax lie between
        torch.testing.assert_close(sliding, whole, rtol=1e-3, atol=1e-4)


def test_scales_and_flips_are_averaged_as_by_hand():
    torch.manual_seed(0)
    model, config = Pointwise(), preset("smoke", "hr", overrides=SMALL)  # input = HR
    image = picture(32, 64)
    frames = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = 0
    for scale in (0.5, 1.0):
        size = (round(32 * scale), round(64 * scale))
        frame = frames if scale == 1 else F.interpolate(frames.float(), size, mode="bilinear", antialias=True).round()
        logits = model.conv(normalise(frame.to(torch.uint8)))
        logits = F.interpolate(logits, (32, 64), mode="bilinear", align_corners=False)
        expected = expected + 2 * logits.softmax(1) / 4  # the mirrored look of a pointwise network is the same
    got = scores(model, image, config, View(scales=(0.5, 1.0), flip=True))
    torch.testing.assert_close(got, expected[0].detach(), rtol=0.02, atol=0.01)


def test_pooling_averages_over_areas():
    torch.manual_seed(0)
    model, config = Pointwise(), preset("smoke", "hr", overrides=SMALL)
    large = evaluation_input(picture(32, 64), 128, 256, 1.0)
    expected = F.avg_pool2d(model.conv(normalise(large[None])), 4)[0].detach()
    got = scores(model, picture(32, 64), config, View(mode="pooling", scales=(4.0,), average="logits"))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    interpolated = scores(model, picture(32, 64), config, View(scales=(4.0,), average="logits"))
    assert not torch.allclose(got, interpolated, atol=1e-3)


@pytest.mark.parametrize("mode", ["whole", "sliding"])
def test_a_mirrored_image_gives_the_mirrored_answer(mode):
    model, config = small("sssr")
    image, view = picture(40, 80), View(mode=mode, flip=True, scales=(1.0, 1.5))
    mirrored = scores(model, image[:, ::-1], config, view)
    torch.testing.assert_close(mirrored.flip(-1), scores(model, image, config, view), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("arm", ["lr", "dsrl"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (50, 50), (71, 73), (33, 17)])
def test_any_size_works(arm, size):
    model, config = small(arm)
    got = scores(model, picture(*size), config)
    assert got.shape == (19, *size) and torch.allclose(got.sum(0), torch.ones(size), atol=1e-4)


def test_the_aspect_is_kept():
    config = preset("camvid", "lr")
    assert hr_size((360, 480), config) == (360, 480)
    assert hr_size((720, 720), config) == (360, 360)
    assert hr_size((90, 160), config, 0.5) == (180, 320)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "tiles"}, "mode = 'tiles'; allowed: whole, sliding, pooling"),
        ({"average": "votes"}, "average = 'votes'; allowed: probabilities, logits"),
        ({"scales": ()}, "scales"),
        ({"scales": (0.0,)}, "allowed: one or more numbers above 0"),
        ({"overlap": 1.0}, "overlap = 1.0; allowed: from 0 to below 1"),
    ],
)
def test_wrong_views_are_explained(values, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        View(**values)


def test_the_plain_view_scores_as_the_study_does(tmp_path):
    model, config = small("sssr")
    split = load_split("streets", "val")
    size = [f"data.{side}={value}" for side, value in zip(("height", "width"), split.labels.shape[1:], strict=True)]
    config = preset("smoke", "sssr", overrides=(*size, "optim.precision=fp32"))
    scored = scoring.score_split(model, config, "streets", "val", View(average="logits"), progress=False)
    reference = evaluate(model, split, config)
    np.testing.assert_array_equal(scored.evaluation.counts, reference.counts)
    np.testing.assert_array_equal(scored.evaluation.trimap, reference.trimap)
    assert scored.overall["mIoU"] == pytest.approx(reference.miou)
    text = scoring.write_scores(scored, tmp_path, {"weights": "w"}, View())
    assert "mIoU" in text and (tmp_path / "scores.txt").read_text() == text
    assert json.loads((tmp_path / "scores.json").read_text())["overall"]["mIoU"] == pytest.approx(reference.miou)
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 19
    with np.load(tmp_path / "counts.npz") as file:
        np.testing.assert_array_equal(file["counts"], reference.counts)


def test_figures_by_hand():
    counts = np.array([[[6, 2, 1], [1, 1, 2], [0, 0, 0]]])  # one image, three classes, the last absent
    evaluation = SimpleNamespace(counts=counts, trimap=np.zeros((1, 5, 3, 3), int) + counts[:, None])
    scored = scoring.Scored(evaluation, 0.5, ("a", "b", "c"))
    table, overall = scored.by_class, scored.overall
    np.testing.assert_allclose(table["IoU"], [6 / 9, 1 / 4, np.nan])
    np.testing.assert_allclose(table["precision"], [6 / 8, 1 / 2, np.nan])
    np.testing.assert_allclose(table["recall"], [6 / 7, 1 / 3, np.nan])
    assert overall["mIoU"] == pytest.approx((6 / 9 + 1 / 4) / 2)
    assert overall["fwIoU"] == pytest.approx(0.7 * 6 / 9 + 0.3 / 4)
    assert overall["pixel accuracy"] == pytest.approx(0.7)
    assert overall["mIoU within 4 px"] == pytest.approx((6 / 9 + 1 / 4) / 2)


def test_cross_entropy_by_hand(monkeypatch):
    labels = np.array([[[0, 1, 255]]], np.uint8)
    split = SimpleNamespace(images=np.zeros((1, 1, 3, 3), np.uint8), labels=labels, names=["a"], sequences=["a"])
    split = type("Split", (), {**vars(split), "__len__": lambda self: 1})()
    chances = torch.full((19, 1, 3), 0.01)
    chances[0, 0, 0], chances[1, 0, 1] = 0.5, 0.25
    monkeypatch.setattr(scoring, "load_split", lambda *_: split)
    monkeypatch.setattr(scoring, "scores", lambda *_: chances)
    model, config = small("lr")
    scored = scoring.score_split(model, config, "streets", "val", progress=False)
    assert scored.cross_entropy == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)
