"""Counts, trimap and object recall against library oracles, loops and examples by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex
from torchvision.transforms.v2 import functional as F

from dsrl_lib import metrics, network
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import load_split
from dsrl_lib.data.transforms import resize_image
from dsrl_lib.evaluation.details import (
    OBJECT_PX,
    TRIMAP_PX,
    boundary_distance,
    object_recall,
    object_sizes,
    reconstruction_quality,
    trimap_counts,
    trimap_rings,
)
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.evaluation.forward import class_ids
from study.presets import preset


def example(classes=5, images=3, size=(20, 30)):
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, (images, *size)).astype(np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    return rng.integers(0, classes, label.shape).astype(np.uint8), label


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_counts_by_hand():
    label = np.array([[0, 0, 1], [1, 255, 2]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    got = metrics.counts(prediction, label, 4)
    #                        TP FP FN: class 0 hits 1, is claimed wrongly for the 2, misses one pixel
    assert got.tolist() == [[1, 1, 1], [2, 1, 0], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_allclose(metrics.iou(got), [1 / 3, 2 / 3, 0, np.nan])
    assert metrics.miou(got[None]) == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)


def test_counts_and_miou_agree_with_torchmetrics():
    predictions, labels = example()
    counts = np.stack([metrics.counts(p, t, 5) for p, t in zip(predictions, labels, strict=True)])
    oracle = MulticlassConfusionMatrix(5, ignore_index=255)(torch.tensor(predictions), torch.tensor(labels).int())
    confusion = oracle.numpy()
    np.testing.assert_array_equal(counts.sum(0)[:, 0], np.diag(confusion))
    np.testing.assert_array_equal(counts.sum(0)[:, 1], confusion.sum(0) - np.diag(confusion))
    np.testing.assert_array_equal(counts.sum(0)[:, 2], confusion.sum(1) - np.diag(confusion))
    jaccard = MulticlassJaccardIndex(5, ignore_index=255)(torch.tensor(predictions), torch.tensor(labels).int())
    assert metrics.miou(counts) == pytest.approx(float(jaccard))


def test_counts_refuse_what_they_cannot_count():
    with pytest.raises(ValueError, match="differ in size"):
        metrics.counts(np.zeros((2, 2)), np.zeros((2, 3)), 3)
    with pytest.raises(ValueError, match=r"label has class ids 7\.\.7; allowed: 0\.\.2"):
        metrics.counts(np.zeros((1, 1), np.uint8), np.full((1, 1), 7, np.uint8), 3)


def test_a_frame_that_keeps_its_aspect_is_compared_at_the_size_of_the_reconstruction():
    """A frame of 33 x 67 at HR height 32 is 32 x 65, its input 16 x 32, and the reconstruction 32 x 64."""
    image = picture(33, 67)
    split = SimpleNamespace(images=[image], labels=[np.zeros((33, 67), np.uint8)], names=["a"], sequences=["a"])
    split = type("Split", (), {**vars(split), "__len__": lambda self: 1})()

    class Grey(torch.nn.Module):
        host = SimpleNamespace(classes=19)

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            assert x.shape == (1, 3, 16, 32)
            logits = torch.zeros(1, 19, 16, 32)
            logits[:, 0] = 1
            return {"logits": logits, "image": normalise(torch.full((1, 3, 32, 64), 128, dtype=torch.uint8))}

    config = preset("smoke", "sssr_sisr", overrides=["data.dataset=kitti", "data.height=32"])
    result = evaluate(Grey(), split, config)
    assert result.counts[0, 0].tolist() == [33 * 67, 0, 0]  # at the original size
    error = (resize_image(image, 32, 64).float() - 128) / 255
    assert result.psnr[0] == pytest.approx(-10 * np.log10((error**2).mean().item()), abs=1e-3)


def test_boundary_distance_agrees_with_a_search_over_all_pixels():
    label = np.zeros((9, 11), np.uint8)
    label[3:6, 4:8] = 1
    label[0, :3] = 255  # the edge of void is no boundary
    edge = {
        (i, j)
        for i in range(9)
        for j in range(11)
        for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0))
        if 0 <= i + di < 9 and 0 <= j + dj < 11
        and label[i, j] != label[i + di, j + dj]
        and 255 not in (label[i, j], label[i + di, j + dj])
    }  # fmt: skip
    expected = [[1 + min(np.hypot(i - a, j - b) for a, b in edge) for j in range(11)] for i in range(9)]
    np.testing.assert_allclose(boundary_distance(label), expected)
    assert np.isinf(boundary_distance(np.zeros((3, 3), np.uint8))).all()


def test_trimap_counts_pixels_near_boundaries_only():
    label = np.zeros((40, 40), np.uint8)
    label[:, 20:] = 1
    prediction = label.copy()
    prediction[:, 20] = 0  # the boundary is drawn one pixel too far right
    bands = trimap_counts(prediction, label, trimap_rings(label), 2)
    assert bands.shape == (len(TRIMAP_PX), 2, 3)
    for band, px in zip(bands, TRIMAP_PX, strict=True):
        assert band[0].tolist() == [40 * px, 40, 0]
        assert band[1].tolist() == [40 * (px - 1), 0, 40]


def test_object_recall_sorts_objects_by_size():
    label = np.zeros((100, 100), np.uint8)
    label[0:2, 0:5] = 1  # 10 pixels
    label[10:30, 10:20] = 1  # 200 pixels
    prediction = np.zeros_like(label)
    prediction[0, 0:5] = 1
    prediction[10:30, 10:20] = 1
    recall = object_recall(prediction, label, object_sizes(label), 2)
    assert recall[1].tolist() == [[5, 10], [200, 200], [0, 0], [0, 0], [0, 0]]
    assert recall[0].tolist() == [[0, 0]] * len(OBJECT_PX) + [[9790, 9790]]


def test_object_recall_agrees_with_a_search_for_each_object():
    prediction, label = (maps[0] for maps in example(classes=3, images=1))
    label = np.kron(label, np.ones((8, 8), np.uint8))  # objects of 64 pixels and more
    prediction = np.kron(prediction, np.ones((8, 8), np.uint8))
    expected, left = np.zeros((3, len(OBJECT_PX) + 1, 2), int), label != 255
    while left.any():
        todo, found = [tuple(np.argwhere(left)[0])], []
        k = label[todo[0]]
        left[todo[0]] = False
        while todo:
            i, j = todo.pop()
            found.append((i, j))
            for near in ((i, j + 1), (i + 1, j), (i, j - 1), (i - 1, j)):
                if 0 <= near[0] < 160 and 0 <= near[1] < 240 and left[near] and label[near] == k:
                    left[near] = False
                    todo.append(near)
        hits = sum(prediction[pixel] == k for pixel in found)
        expected[k, sum(len(found) > px for px in OBJECT_PX)] += (hits, len(found))
    assert (expected[..., 1] > 0).sum() > 6  # of several sizes
    np.testing.assert_array_equal(object_recall(prediction, label, object_sizes(label), 3), expected)


def test_logits_are_resized_before_the_arg_max():
    logits = torch.tensor([[[[4.0, 0.0]], [[0.0, 3.0]]]])  # (1, 2, 1, 2): the boundary lies right of the middle
    assert class_ids(logits, (1, 8)).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert class_ids(logits, (1, 16))[0].tolist() == [0] * 9 + [1] * 7


class Oracle(torch.nn.Module):
    """A network that sees only the frame's mean and answers one class."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.host = torch.nn.Module()
        self.host.classes, self.answer = 19, answer

    def forward(self, x):
        logits = torch.zeros(len(x), 19, *x.shape[2:])
        logits[:, self.answer] = 1
        return {"logits": logits, "image": torch.zeros(len(x), 3, 2 * x.shape[2], 2 * x.shape[3])}


def test_evaluation_is_at_the_original_label_size_and_keeps_every_image():
    split = load_split("streets", "val")
    config = preset("smoke", "sssr_sisr", overrides=["data.height=64", "data.width=96", "optim.precision=fp32"])
    result = evaluate(Oracle(0), split, config)
    known = (split.labels != 255).sum((1, 2))
    road = (split.labels == 0).sum((1, 2))
    np.testing.assert_array_equal(result.counts[:, 0], np.stack([road, known - road, 0 * road], axis=1))
    assert result.counts.shape == (len(split), 19, 3)
    assert result.names == split.names
    assert result.arrays()["trimap"].shape == (len(split), len(TRIMAP_PX), 19, 3)
    assert np.isfinite(result.psnr).all() and (result.ssim < 1).all()


def test_the_loop_is_the_one_written_out():
    """Frame -> HR -> LR -> logits -> label size -> arg-max, step by step, for each image; workers change nothing."""
    split = load_split("streets", "val")
    few = [0, len(split) // 2]
    part = type("Split", (), {"__len__": lambda self: len(few)})()
    for name in ("names", "sequences", "images", "labels"):
        setattr(part, name, [getattr(split, name)[index] for index in few])
    config = preset("smoke", "sssr", overrides=["optim.precision=fp32"])
    model = network.build(config).eval().to(memory_format=torch.channels_last)
    result = evaluate(model, part, config)
    for name, found in evaluate(model, part, config, workers=1).arrays().items():
        np.testing.assert_array_equal(found, result.arrays()[name])
    assert evaluate(model, part, config, details=False).counts.tolist() == result.counts.tolist()
    for number, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
        frame = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
        frame = F.resize(F.resize(frame, [128, 256], antialias=True), [64, 128], antialias=True)
        x = (frame.float() / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
            [0.229, 0.224, 0.225]
        )[:, None, None]
        with torch.inference_mode():
            logits = model(x.contiguous(memory_format=torch.channels_last))["logits"]
        logits = torch.nn.functional.interpolate(logits, label.shape, mode="bilinear", align_corners=False)
        ids = logits.argmax(1)[0].numpy()
        known = label != 255
        hits = [int((known & (ids == k) & (label == k)).sum()) for k in range(19)]
        assert np.abs(result.counts[number, :, 0] - hits).max() <= 2  # the normalisation rounds in another order
        chances = logits.softmax(1)[0].permute(1, 2, 0)[torch.tensor(known)]  # (pixels, K)
        nll = -chances[range(len(chances)), label[known].tolist()].log().sum()
        assert result.nll[number] == pytest.approx(nll.item(), rel=1e-3)


def test_psnr_by_hand():
    split = load_split("streets", "val")
    config = preset("smoke", "sssr_sisr", overrides=["optim.precision=fp32"])
    result = evaluate(Oracle(0), split, config, details=False)  # answers the ImageNet mean colour everywhere
    mean = np.array([0.485, 0.456, 0.406])
    expected = [-10 * np.log10(((frame / 255 - mean) ** 2).mean()) for frame in split.images]
    np.testing.assert_allclose(result.psnr, expected, atol=1e-3)
    assert np.isnan(result.ssim).all()  # it costs more than the network, and only details show it


def test_ssim_and_clamping_by_hand():
    def plain(grey):
        return np.full((24, 24, 3), grey, np.uint8)

    def restored(image):
        return normalise(torch.from_numpy(image).permute(2, 0, 1)[None])

    _, ssim = reconstruction_quality(restored(plain(51)), plain(102))  # 0.2 and 0.4: no variance, so means alone
    assert ssim == pytest.approx((2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4), abs=1e-4)
    psnr, _ = reconstruction_quality(restored(plain(255)) + 1, plain(204))  # brighter than white is white
    assert psnr == pytest.approx(20 * np.log10(5), abs=1e-3)


@pytest.mark.filterwarnings("error")
def test_a_score_of_nothing_is_no_number():
    assert np.isnan(metrics.miou(np.zeros((2, 3, 3), np.int32)))


@pytest.mark.parametrize(("side", "known"), [(5, False), (6, True)])
def test_a_window_of_ssim_has_to_fit(side, known):
    image = picture(40, side)
    restored = normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    psnr, ssim = reconstruction_quality(restored, image)
    assert psnr > 40 and (ssim == pytest.approx(1, abs=1e-3)) is known
