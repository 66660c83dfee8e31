"""Cross entropy with class weights by image, against loops over pixels and the original's arithmetic."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from two_processes import in_two_processes

from dsrl_lib.config import Loss
from dsrl_lib.losses.criterion import Targets, segmentation_loss
from dsrl_lib.losses.image_weights import image_weighted_cross_entropy
from dsrl_lib.losses.segmentation import cross_entropy

MAPILLARY = 65
VOID = 255


def example(batch=3, classes=MAPILLARY, h=6, w=7, seed=0):
    """Images that differ in their classes and their void."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(batch, classes, h, w)).astype(np.float32) * 3).requires_grad_()
    labels = rng.integers(0, classes, (batch, h, w)).astype(np.uint8)
    labels[0, :4] = classes - 1  # a large class, the last one
    labels[1] = rng.choice([0, 2, 3], (h, w))
    labels[1, 2:] = VOID
    return logits, torch.from_numpy(labels)


def shares(label, classes):
    labelled = label[label != VOID]
    return [sum(int(y) == c for y in labelled) / max(1, len(labelled)) for c in range(classes)]


def loop(logits, labels, bound, over="image"):
    """The definition, pixel by pixel in float64: a mean over the images that have a label."""
    classes, means = logits.shape[1], []
    for scores, label in zip(logits.detach().double().numpy(), labels.numpy(), strict=True):
        f = shares(label if over == "image" else labels.numpy(), classes)
        total = mass = 0.0
        for i, j in np.argwhere(label != VOID):
            pixel, c = scores[:, i, j], int(label[i, j])
            omega = 1 + bound * (1 - f[c])
            total += omega * (math.log(np.exp(pixel).sum()) - pixel[c])
            mass += omega
        if mass:
            means.append(total / mass)
    return sum(means) / max(1, len(means))


@pytest.mark.parametrize("classes", [5, MAPILLARY])
@pytest.mark.parametrize("bound", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("over", ["image", "batch"])
def test_loss_is_that_of_the_loop(classes, bound, over):
    logits, labels = example(classes=classes)
    value = image_weighted_cross_entropy(logits, labels, upper_bound=bound, weights_over=over)
    assert value.item() == pytest.approx(loop(logits, labels, bound, over), rel=1e-5)
    assert value.item() != pytest.approx(cross_entropy(logits, labels).item(), rel=1e-4)


@pytest.mark.parametrize("bound", [1.0, 6.0])
def test_images_and_gradients_are_those_of_the_original(bound):
    """Its arithmetic: a density of the labels by NumPy, a weight of 1 for absent classes, and PyTorch's weighted mean.

    It adds the images up, where ours is their mean.
    """
    logits, labels = example()
    total = torch.zeros(())
    for z, label in zip(logits, labels, strict=True):
        density = np.histogram(label.numpy(), np.arange(MAPILLARY + 1), density=True)[0]
        weights = torch.from_numpy((density != 0) * bound * (1 - density) + 1).float()
        total = total + F.nll_loss(z[None].log_softmax(1), label[None].long(), weights, ignore_index=VOID)
    value = image_weighted_cross_entropy(logits, labels, upper_bound=bound)
    assert value.item() * len(labels) == pytest.approx(total.item(), rel=1e-5)
    ours, theirs = (torch.autograd.grad(loss, logits)[0] for loss in (value * len(labels), total))
    assert torch.allclose(ours, theirs, atol=1e-7)


def test_an_image_of_void_alone_does_not_count():
    logits, labels = example()
    labels[2] = VOID
    value = image_weighted_cross_entropy(logits, labels)
    assert value.item() == pytest.approx(image_weighted_cross_entropy(logits[:2], labels[:2]).item(), rel=1e-6)
    assert torch.autograd.grad(value, logits)[0].isfinite().all()
    nothing = image_weighted_cross_entropy(logits, torch.full_like(labels, VOID))
    assert nothing.item() == 0 and torch.autograd.grad(nothing, logits)[0].abs().max() == 0


def test_logits_of_half_precision_are_resized_and_need_no_gradient():
    logits, labels = example(h=3, w=4)
    half = logits.detach().bfloat16()
    large = labels.repeat_interleave(2, 1).repeat_interleave(2, 2)
    full = F.interpolate(half.float(), (6, 8), mode="bilinear", align_corners=False)
    with torch.no_grad():
        value = image_weighted_cross_entropy(half, large)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loop(full, large, 1.0), rel=1e-5)


@pytest.mark.parametrize("over", ["image", "batch"])
def test_settings_reach_the_loss(over):
    logits, labels = example()
    value = segmentation_loss(logits, Targets(labels), Loss(class_weights=over, class_bound=6.0))
    assert torch.equal(value, image_weighted_cross_entropy(logits, labels, upper_bound=6.0, weights_over=over))
    default = segmentation_loss(logits, Targets(labels), Loss(class_weights=over))
    assert torch.equal(default, image_weighted_cross_entropy(logits, labels, upper_bound=1.0, weights_over=over))


@pytest.mark.parametrize("over", ["image", "batch"])
def test_the_parts_of_two_processes_add_up_to_the_batch(monkeypatch, over):
    """The first part has the images 0, 2 and 4, of which one is void; the second has 1 and 3."""
    logits, labels = example(batch=5)
    labels[4] = VOID
    loss = Loss(class_weights=over, class_bound=6.0)
    whole = segmentation_loss(logits, Targets(labels), loss)

    def parts():
        return [segmentation_loss(logits[i::2], Targets(labels[i::2]), loss) for i in range(2)]

    _, values, rows, counts = in_two_processes(monkeypatch, parts)
    assert counts == [2, 2] and len(rows) == (2 if over == "batch" else 0)
    assert sum(values).item() / 2 == pytest.approx(whole.item(), rel=1e-6)
    expected, gradient = (torch.autograd.grad(value, logits)[0] for value in (whole, sum(values) / 2))
    assert torch.allclose(gradient, expected, atol=1e-8)


def test_what_does_not_fit_is_refused():
    logits, labels = example()
    for kind in ("focal", "ohem", "relaxed", "boundary"):
        with pytest.raises(ValueError, match=f"{kind} takes no class weights; allowed: loss.class_weights = none"):
            segmentation_loss(logits, Targets(labels), Loss(segmentation=kind, class_weights="image"))
    with pytest.raises(ValueError, match=r"loss.class_weights = image is computed .* Targets without class_weights"):
        segmentation_loss(logits, Targets(labels, class_weights=torch.ones(MAPILLARY)), Loss(class_weights="image"))
    with pytest.raises(ValueError, match=r"upper_bound = -1.0; allowed: a number 0 or more"):
        image_weighted_cross_entropy(logits, labels, upper_bound=-1.0)
    with pytest.raises(ValueError, match="weights_over = 'epoch'; allowed: image, batch"):
        image_weighted_cross_entropy(logits, labels, weights_over="epoch")
    with pytest.raises(IndexError, match="labels hold 65; allowed: 0 to 64, and 255 for void"):
        image_weighted_cross_entropy(logits, torch.full_like(labels, MAPILLARY))
    with pytest.raises(ValueError, match=r"labels \(B, H, W\)"):
        image_weighted_cross_entropy(logits, labels[:1])
