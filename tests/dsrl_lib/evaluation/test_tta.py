"""Test-time augmentation: windows cover, flips mirror, scales average; any size; reports against the study's counts."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from dsrl_lib import metrics, network
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import load_split
from dsrl_lib.data.transforms import evaluation_input, frame_size
from dsrl_lib.evaluation import report
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.evaluation.forward import class_ids
from dsrl_lib.evaluation.report import Report, report_text, split_report, write_report
from dsrl_lib.evaluation.tta import image_output, log_probabilities, windows
from study.presets import preset

SMALL = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.precision=fp32")


def small(arm: str):
    torch.manual_seed(0)
    config = preset("smoke", arm, overrides=SMALL)
    model = network.build(config).eval()
    # Untrained, it finds all classes about as likely, and the mean of logits is the same as that of probabilities.
    model.register_forward_hook(lambda model, inputs, out: out | {"logits": 1000 * out["logits"]})
    return model, config


class Pointwise(torch.nn.Module):
    """Logits of a pixel from its own colour alone, so that windows cannot matter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 1)

    def forward(self, x):
        return {"logits": self.conv(x)}


def probabilities(model, image: np.ndarray, config, tta: TTA = TTA()) -> torch.Tensor:  # noqa: B008
    """Of the classes, (K, H, W)."""
    return log_probabilities(image_output(model, image, config, tta)[0], tta).exp()[0]


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
    whole, _ = image_output(model, image, config, TTA(average=average))
    sliding, _ = image_output(model, image, config, TTA(mode="sliding", average=average))
    if average == "probabilities":
        whole = whole.softmax(1)
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
        expected = expected + 2 * logits.softmax(1) / 4  # the mirrored input of a pointwise network adds the same
    got = probabilities(model, image, config, TTA(scales=(0.5, 1.0), flip=True))
    torch.testing.assert_close(got, expected[0].detach(), rtol=0.02, atol=0.01)


def test_pooling_averages_over_areas():
    torch.manual_seed(0)
    model, config = Pointwise(), preset("smoke", "hr", overrides=SMALL)
    large = evaluation_input(picture(32, 64), 128, 256, 1.0)
    expected = F.avg_pool2d(model.conv(normalise(large[None])), 4).detach()
    got, _ = image_output(model, picture(32, 64), config, TTA(mode="pooling", scales=(4.0,), average="logits"))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    interpolated, _ = image_output(model, picture(32, 64), config, TTA(scales=(4.0,), average="logits"))
    assert not torch.allclose(got, interpolated, atol=1e-3)


@pytest.mark.parametrize("mode", ["whole", "sliding"])
def test_a_mirrored_image_gives_the_mirrored_answer(mode):
    model, config = small("sssr")
    image, tta = picture(40, 80), TTA(mode=mode, flip=True, scales=(1.0, 1.5))
    mirrored = probabilities(model, image[:, ::-1], config, tta)
    torch.testing.assert_close(mirrored.flip(-1), probabilities(model, image, config, tta), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("arm", ["lr", "dsrl"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (50, 50), (71, 73), (33, 17)])
def test_any_size_works(arm, size):
    model, config = small(arm)
    got = probabilities(model, picture(*size), config)
    assert got.shape == (19, *size) and torch.allclose(got.sum(0), torch.ones(size), atol=1e-4)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_probabilities_are_probabilities_whatever_is_averaged(average):
    (model, config), image = small("sssr"), picture(40, 80)
    got = probabilities(model, image, config, TTA(flip=True, average=average))
    plain, mirrored = (image_output(model, image[:, ::step], config, TTA())[0][0] for step in (1, -1))  # logits
    both = torch.stack([plain, mirrored.flip(-1)])  # (2, K, H, W)
    expected = both.mean(0).softmax(0) if average == "logits" else both.softmax(1).mean(0)
    torch.testing.assert_close(got.sum(0), torch.ones(40, 80))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(both.mean(0).softmax(0), both.softmax(1).mean(0), atol=1e-3)


def test_the_aspect_is_kept():
    data = preset("camvid", "lr").data
    assert frame_size((360, 480), data) == (360, 480)
    assert frame_size((720, 720), data) == (360, 360)
    assert frame_size((1080, 1920), data) == (360, 640)
    assert frame_size((90, 160), data, 0.5) == (180, 320)


def test_a_frame_of_the_data_set_takes_the_size_of_the_configuration():
    data = preset("camvid", "lr", overrides=["data.height=200", "data.width=400"]).data
    for stored in ((360, 480), (720, 960), (181, 241)):  # the data set's aspect, to a pixel
        assert frame_size(stored, data) == (200, 400)
        assert frame_size(stored, data, 0.5) == (100, 200)
    assert frame_size((480, 360), data) == (200, 150)
    voc = preset("camvid", "lr", overrides=["data.dataset=voc", "data.height=200"]).data
    assert frame_size((360, 480), voc) == (200, 267)  # frames of many sizes


@pytest.mark.parametrize("tta", [None, TTA(flip=True, scales=(0.5, 1.0)), TTA(mode="sliding")])
@pytest.mark.parametrize("size", [(72, 128), (128, 256)])  # of another aspect than the data set, and of its own
def test_evaluation_counts_what_is_predicted(tta, size):
    model, config = small("sssr")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 19, size).astype(np.uint8)
    split = SimpleNamespace(images=[picture(*size)], labels=[label], names=["a"], sequences=["a"])
    split = type("Split", (), {**vars(split), "__len__": lambda self: 1})()
    counts = evaluate(model, split, config, tta=tta).counts[0]
    mean, _ = image_output(model, split.images[0], config, tta or TTA())
    np.testing.assert_array_equal(counts, metrics.counts(class_ids(mean, size), label, 19))
    found = probabilities(model, split.images[0], config, tta or TTA())
    assert (found.argmax(0).numpy() == class_ids(mean, size)).mean() > 0.999  # softmax can make two classes equal


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "tiles"}, "mode = 'tiles'; allowed: whole, sliding, pooling"),
        ({"average": "votes"}, "average = 'votes'; allowed: probabilities, logits"),
        ({"scales": ()}, "scales"),
        ({"scales": (0.0,)}, "allowed: one or more numbers above 0"),
        ({"overlap": 0.95}, "overlap = 0.95; allowed: a number from 0 to 0.9"),
        ({"overlap": 0.5}, "overlap = 0.5 with mode = whole, which has no windows; allowed: mode = sliding"),
    ],
)
def test_wrong_augmentations_are_explained(values, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        TTA(**values)


def test_the_report_holds_the_counts_of_the_study(tmp_path):
    model, config = small("sssr")
    split = load_split("streets", "val")
    size = [f"data.{side}={value}" for side, value in zip(("height", "width"), split.labels.shape[1:], strict=True)]
    config = preset("smoke", "sssr", overrides=(*size, "optim.precision=fp32"))
    made = split_report(model, config, "streets", "val", TTA(), progress=False)
    reference = evaluate(model, split, config)
    np.testing.assert_array_equal(made.evaluation.counts, reference.counts)
    np.testing.assert_array_equal(made.evaluation.trimap, reference.trimap)
    assert made.overall["mIoU"] == pytest.approx(reference.miou)
    write_report(made, tmp_path, {"weights": "w"}, TTA())
    text = report_text(made, {"weights": "w"}, TTA())
    assert "mIoU" in text and (tmp_path / "scores.txt").read_text() == text
    stored = json.loads((tmp_path / "scores.json").read_text())
    assert stored["overall"]["mIoU"] == pytest.approx(reference.miou) and stored["tta"]["mode"] == "whole"
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 19
    with np.load(tmp_path / "counts.npz") as file:
        np.testing.assert_array_equal(file["counts"], reference.counts)


def test_figures_by_hand():
    counts = np.array([[[6, 2, 1], [1, 1, 2], [0, 0, 0]]])  # one image, three classes, the last absent
    trimap = np.zeros((1, 5, 3, 3), int) + counts[:, None]
    made = Report(SimpleNamespace(counts=counts, trimap=trimap, cross_entropy=0.5), ("a", "b", "c"))
    table, overall = made.by_class, made.overall
    assert overall["cross entropy"] == 0.5
    np.testing.assert_allclose(table["IoU"], [6 / 9, 1 / 4, np.nan])
    np.testing.assert_allclose(table["precision"], [6 / 8, 1 / 2, np.nan])
    np.testing.assert_allclose(table["recall"], [6 / 7, 1 / 3, np.nan])
    assert overall["mIoU"] == pytest.approx((6 / 9 + 1 / 4) / 2)
    assert overall["fwIoU"] == pytest.approx(0.7 * 6 / 9 + 0.3 / 4)
    assert overall["pixel accuracy"] == pytest.approx(0.7)
    assert overall["mIoU within 4 px"] == pytest.approx((6 / 9 + 1 / 4) / 2)


@pytest.mark.parametrize("tta", [None, TTA(flip=True), TTA(flip=True, average="logits")])
def test_cross_entropy_by_hand(monkeypatch, tta):
    labels = np.array([[[0, 1, 255]]], np.uint8)
    split = SimpleNamespace(images=np.zeros((1, 1, 3, 3), np.uint8), labels=labels, names=["a"], sequences=["a"])
    split = type("Split", (), {**vars(split), "__len__": lambda self: 1})()
    chances = torch.full((19,), 0.25 / 17)
    chances[0], chances[1] = 0.5, 0.25  # at every pixel
    monkeypatch.setattr(report, "load_split", lambda *_: split)

    class Sure(torch.nn.Module):
        host = SimpleNamespace(classes=19)

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return {"logits": 7 + chances.log()[None, :, None, None].expand(1, 19, *x.shape[2:])}

    made = split_report(Sure(), small("lr")[1], "streets", "val", tta, progress=False)
    assert made.evaluation.cross_entropy == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2, rel=1e-5)


def test_a_list_of_scales_is_like_a_tuple():
    assert TTA(scales=[1.0]).none and TTA(scales=[1.0, 0.5]) == TTA(scales=(1.0, 0.5))
    for scales in (1.0, "1", ["1"]):
        with pytest.raises(ValueError, match=r"scales = .*; allowed: one or more numbers above 0, at most 8"):
            TTA(scales=scales)
    with pytest.raises(ValueError, match="flip = 'no'; allowed: "):
        TTA(flip="no")


def test_what_is_no_number_is_no_score(monkeypatch):
    found = SimpleNamespace(nll=np.array([1.0, np.nan]), names=["a", "b"])
    monkeypatch.setattr(report, "load_split", lambda *_: SimpleNamespace(images=()))
    monkeypatch.setattr(report, "evaluate", lambda *_, **__: found)
    with pytest.raises(RuntimeError, match="no finite numbers for frame b of streets val"):
        split_report(*small("lr"), "streets", "val")
