"""Cross entropy and image error against loops and hand examples."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dsrl_lib import Config, Targets, criterion
from dsrl_lib.losses.segmentation import cross_entropy, focal, hard_examples, image_mse


def example(batch=2, classes=5, h=6, w=7, void=0.2, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(batch, classes, h, w)).astype(np.float32)
    labels = rng.integers(0, classes, (batch, h, w)).astype(np.uint8)
    labels[rng.random(labels.shape) < void] = 255
    return torch.from_numpy(logits).requires_grad_(), torch.from_numpy(labels)


def loop(logits, labels, weights=None):
    """-sum w log softmax / sum w over the pixels that are not void, in float64."""
    total = mass = 0.0
    for scores, label in zip(logits.detach().double().numpy(), labels.numpy(), strict=True):
        for i, j in np.argwhere(label != 255):
            pixel, weight = scores[:, i, j], 1.0 if weights is None else float(weights[label[i, j]])
            total += weight * (math.log(np.exp(pixel).sum()) - pixel[label[i, j]])
            mass += weight
    return total / mass


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.5, 3.0, 0.0, 7.0])])
def test_cross_entropy_is_that_of_the_loop(weights):
    logits, labels = example()
    value = cross_entropy(logits, labels, class_weights=weights)
    assert value.item() == pytest.approx(loop(logits, labels, weights), rel=1e-5)
    oracle = F.cross_entropy(logits, labels.long(), weights, ignore_index=255)
    ours, theirs = (torch.autograd.grad(loss, logits)[0] for loss in (value, oracle))
    assert torch.allclose(ours, theirs, atol=1e-7)


@pytest.mark.parametrize("weights", [None, torch.ones(5)])
def test_only_void_gives_zero_and_no_gradient(weights):
    logits, labels = example()
    value = cross_entropy(logits, torch.full_like(labels, 255), class_weights=weights)
    value.backward()
    assert value.item() == 0 and logits.grad.abs().max() == 0


def test_void_pixels_change_nothing():
    logits, labels = example()
    changed = torch.where((labels == 255)[:, None], logits + 100, logits)
    assert torch.equal(cross_entropy(logits, labels), cross_entropy(changed, labels))


@pytest.mark.parametrize("loss", [cross_entropy, partial(focal, gamma=0), partial(hard_examples, threshold=1, kept=1)])
def test_logits_are_resized_bilinearly_without_aligned_corners(loss):
    logits = torch.tensor([[[[0.0, 1.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2)
    labels = torch.zeros(1, 1, 4, dtype=torch.uint8)
    expected = [math.log(1 + math.exp(-score)) for score in (0, 0.25, 0.75, 1)]
    assert loss(logits, labels).item() == pytest.approx(sum(expected) / 4, rel=1e-6)


@pytest.mark.parametrize("size", [(6, 7), (12, 14)])
def test_half_precision_channels_last_under_autocast(size):
    logits, _ = example()
    _, labels = example(h=size[0], w=size[1])
    half = logits.detach().to(torch.bfloat16, memory_format=torch.channels_last).requires_grad_()
    wide = half.detach().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = cross_entropy(half, labels)
    value.backward()
    expected = cross_entropy(wide, labels)
    expected.backward()
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    assert half.grad.dtype == torch.bfloat16 and torch.equal(half.grad, wide.grad.bfloat16())


def test_impossible_labels_are_refused():
    logits, labels = example()
    labels = labels.long()
    labels[0, 0, :2] = torch.tensor([5, -1])
    for loss in (cross_entropy, focal, hard_examples):
        with pytest.raises(IndexError, match="labels hold -1, 5; allowed: 0 to 4, and 255 for void"):
            loss(logits, labels)


def test_labels_that_were_resized_like_an_image_are_refused():
    logits, labels = example()
    with pytest.raises(ValueError, match="labels are float32; allowed: integers"):
        cross_entropy(logits, labels.float())


def test_a_target_that_is_missing_is_named():
    logits, labels = example()
    outputs = {"logits": logits, "image": torch.zeros(2, 3, 6, 7)}
    with pytest.raises(ValueError, match="the network gives 'image': Targets need the image"):
        criterion(outputs, Targets(labels), Config().loss)
    moved = replace(Config().loss, segmentation="relaxed", relax_control="moved")
    with pytest.raises(ValueError, match=r"loss\.relax_control = 'moved': Targets need the sets"):
        criterion({"logits": logits}, Targets(labels), moved)


def test_outputs_that_no_term_reads_are_refused():
    logits, labels = example()
    with pytest.raises(ValueError, match=r"outputs hold 'logit'; allowed: logits, aux, image, .*did you mean logits"):
        criterion({"logit": logits}, Targets(labels), Config().loss)


def test_shapes_are_checked():
    logits, labels = example()
    with pytest.raises(ValueError, match=r"labels \(B, H, W\); got .* \(1, 6, 7\)"):
        cross_entropy(logits, labels[:1])
    with pytest.raises(ValueError, match=r"class_weights \(4,\); allowed: one per class, \(5,\)"):
        cross_entropy(logits, labels, class_weights=torch.ones(4))
    for wrong in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match=r"class_weights \[.*\]; allowed: finite numbers, 0 or more"):
            cross_entropy(logits, labels, class_weights=torch.tensor([1.0, wrong, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"shapes differ: \(2, 3\) and \(3,\)"):
        image_mse(torch.zeros(2, 3), torch.zeros(3))


def test_image_mse_by_hand():
    assert image_mse(torch.tensor([1.0, 2.0]).bfloat16(), torch.tensor([0.0, 4.0])).item() == 2.5


def probabilities(logits, labels):
    """Of each label that is not void, by a loop, in float64."""
    found = []
    for scores, label in zip(logits.detach().double().numpy(), labels.numpy(), strict=True):
        for i, j in np.argwhere(label != 255):
            found.append(np.exp(scores[label[i, j], i, j]) / np.exp(scores[:, i, j]).sum())
    return np.array(found)


def test_focal_loss_is_that_of_the_loop():
    logits, labels = example()
    p = probabilities(logits, labels)
    assert focal(logits, labels).item() == pytest.approx(float(np.mean(-((1 - p) ** 2) * np.log(p))), rel=1e-5)
    assert focal(logits, labels, gamma=0).item() == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)


@pytest.mark.parametrize(("threshold", "kept"), [(0.5, 0.01), (0.05, 0.5), (0.9999, 0.1)])
def test_hard_examples_are_those_of_the_loop(threshold, kept):
    logits, labels = example()
    p = np.sort(probabilities(logits, labels))
    limit = max(threshold, p[int(kept * len(p)) - 1] if int(kept * len(p)) else p[0])
    expected = -np.log(p[p <= limit]).mean()
    got = hard_examples(logits, labels, threshold=threshold, kept=kept)
    assert got.item() == pytest.approx(float(expected), rel=1e-4)
    got.backward()
    assert logits.grad.isfinite().all() and (logits.grad != 0).any()


@pytest.mark.parametrize("void", [0, 1, 8])
def test_hard_examples_of_two_processes_are_those_of_the_whole_batch(void):
    """Two threads stand for the processes; the first has `void` rows without a label, at 8 no label at all."""
    torch.manual_seed(1)
    scores, labels = torch.randn(2, 5, 8, 9), torch.randint(5, (2, 8, 9))
    scores[1] *= 3
    labels[0, :void] = 255
    whole = scores.clone().requires_grad_()
    expected = hard_examples(whole, labels)
    expected.backward()
    said, barrier = {}, Barrier(2)

    def process(rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        def gather(values):
            said[rank] = values
            barrier.wait(60)
            joined = torch.cat([said[0], said[1]])
            barrier.wait(60)
            return joined

        logits = scores[rank : rank + 1].clone().requires_grad_()
        part = hard_examples(logits, labels[rank : rank + 1], gather=gather)
        (part / 2).backward()
        return part.detach(), logits.grad

    with ThreadPoolExecutor(2) as pool:
        parts, gradients = zip(*pool.map(process, range(2)), strict=True)
    torch.testing.assert_close(sum(parts) / 2, expected.detach())
    torch.testing.assert_close(torch.cat(gradients), whole.grad)


def test_hard_examples_hide_no_number_that_is_none():
    logits, labels = example()
    with torch.no_grad():
        logits[0, :, 1, 1] = float("nan")
    labels[0, 1, 1] = 0
    assert hard_examples(logits, labels).isnan()
    assert hard_examples(torch.full_like(logits, float("nan")), labels).isnan()


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_the_gradient_of_the_focal_loss_is_finite_where_the_label_is_certain(gamma):
    logits = torch.tensor([300.0, 0, 0]).view(1, 3, 1, 1).requires_grad_()
    focal(logits, torch.zeros(1, 1, 1, dtype=torch.long), gamma=gamma).backward()
    assert logits.grad.abs().max() < 1e-5


def test_a_negative_gamma_is_refused():
    with pytest.raises(ValueError, match="gamma = -1; allowed: a number 0 or more"):
        focal(*example(), gamma=-1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": 0.0}, "threshold = 0.0; allowed: a number above 0, at most 1"),
        ({"threshold": 2}, "threshold = 2; allowed"),
        ({"kept": 1.5}, "kept = 1.5; allowed: a number from 0 to 1"),
    ],
)
def test_shares_of_hard_examples_beyond_one_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        hard_examples(*example(), **wrong)


def test_only_void_is_no_hard_example():
    logits, labels = example()
    for loss in (focal, hard_examples):
        assert loss(logits, torch.full_like(labels, 255)).item() == 0
