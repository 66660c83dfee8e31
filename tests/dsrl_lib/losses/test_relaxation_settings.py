"""Label relaxation in the criterion: every setting reaches the loss, its controls, and parts of a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from two_processes import in_two_processes

from dsrl_lib.config import Loss
from dsrl_lib.losses import criterion
from dsrl_lib.losses.allowed_sets import allowed_sets, several
from dsrl_lib.losses.criterion import Targets, segmentation_loss, strict_classes
from dsrl_lib.losses.label_relaxation import (
    boundary_weighted_cross_entropy,
    cross_entropy_over_sets,
    relaxed_cross_entropy,
)
from dsrl_lib.losses.relaxation_controls import moved_borders, void_borders

CLASSES, VOID = 5, 255
RELAXED = Loss(segmentation="relaxed")


def blocks(batch=1, side=24, void=0.0, seed=0):
    """Labels of blocks of six pixels, of classes 0 to 4, and random logits."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (batch, side // 6, side // 6), np.uint8).repeat(6, 1).repeat(6, 2)
    labels[rng.random(labels.shape) < void] = VOID
    logits = torch.randn(batch, CLASSES, side, side, generator=torch.Generator().manual_seed(seed))
    return logits, torch.from_numpy(labels)


def sizes(sets):
    return torch.stack([sets >> c & 1 for c in range(CLASSES)]).sum(0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, lambda z, y: relaxed_cross_entropy(z, y)),
        ({"relax_border": 2}, lambda z, y: relaxed_cross_entropy(z, y, border=2)),
        ({"relax_strict": "1 3"}, lambda z, y: relaxed_cross_entropy(z, y, strict=(1, 3))),
        ({"relax_void_joins": False}, lambda z, y: relaxed_cross_entropy(z, y, void_joins=False)),
        ({"relax_upper_bound": 6.0}, lambda z, y: relaxed_cross_entropy(z, y, upper_bound=6.0)),
        ({"relax_upper_bound": 6.0, "relax_weights_over": "batch"},
         lambda z, y: relaxed_cross_entropy(z, y, upper_bound=6.0, weights_over="batch")),
        ({"segmentation": "boundary", "relax_upper_bound": 1.0},
         lambda z, y: boundary_weighted_cross_entropy(z, y, upper_bound=1.0)),
        ({"segmentation": "boundary", "relax_upper_bound": 1.0, "relax_weights_over": "batch"},
         lambda z, y: boundary_weighted_cross_entropy(z, y, upper_bound=1.0, weights_over="batch")),
    ],
)  # fmt: skip
def test_each_setting_reaches_the_loss(settings, expected):
    logits, labels = blocks(batch=2, void=0.1)
    value = segmentation_loss(logits, Targets(labels), replace(RELAXED, **settings))
    assert torch.equal(value, expected(logits, labels))
    assert settings == {} or not torch.equal(value, relaxed_cross_entropy(logits, labels))


def test_border_pixels_are_left_out():
    logits, labels = blocks()
    value = segmentation_loss(logits, Targets(labels), replace(RELAXED, relax_control="void"))
    inside = torch.zeros_like(labels, dtype=torch.bool)
    for i, j in np.ndindex(24, 24):
        inside[0, i, j] = len(labels[0, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].unique()) == 1
    left = torch.where(inside, labels, VOID)
    assert 0 < inside.sum() < inside.numel()
    assert value.item() == pytest.approx(criterion.cross_entropy(logits, left).item(), rel=1e-6)


def test_moved_borders_are_as_many_and_as_large_but_lie_where_another_frame_has_them():
    (_, label), (_, other), (_, third) = (blocks(void=0.02 * (seed == 0), seed=seed, side=60) for seed in range(3))
    other, third = other.roll((3, 3), (1, 2)), third.roll((2, 3), (1, 2))  # not on the same lines
    true = allowed_sets(label, CLASSES)[0]
    sets = moved_borders(label[0], [other[0], third[0]], CLASSES, np.random.default_rng(0))
    own, found = torch.where(label[0] == VOID, 0, 1 << label[0].int()), several(sets)
    assert torch.equal(sizes(sets[found]).bincount(), sizes(true[several(true)]).bincount())
    assert torch.equal(sets & own, own)  # every labelled pixel allows its own label
    assert not found[label[0] == VOID].any()
    there = several(allowed_sets(torch.stack([other[0], third[0]]), CLASSES)).any(0)
    assert there[found].all() and (found & several(true)).sum() < found.sum() / 3


def test_places_are_random_if_the_other_frames_have_no_borders():
    _, label = blocks()
    plain = torch.zeros_like(label[0])
    drawn = [moved_borders(label[0], [plain], CLASSES, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert [several(sets).sum() for sets in drawn] == 3 * [several(allowed_sets(label, CLASSES)).sum()]


def test_borders_everywhere_and_nowhere_can_be_moved():
    everywhere = torch.tensor([[0, 1], [2, 3]], dtype=torch.uint8)
    sets = moved_borders(everywhere, [], CLASSES, np.random.default_rng(0))
    assert torch.equal(sizes(sets), torch.full((2, 2), 4))
    plain = torch.full((4, 4), 2, dtype=torch.uint8)
    assert moved_borders(plain, [plain], CLASSES, np.random.default_rng(0)).eq(1 << 2).all()


def test_pixels_of_strict_classes_keep_their_label_when_borders_move():
    _, label = blocks()
    sets = moved_borders(label[0], [label[0]], CLASSES, np.random.default_rng(0), strict=(1, 3))
    strict = (label[0] == 1) | (label[0] == 3)
    assert torch.equal(sets[strict], 1 << label[0][strict].int()) and several(sets).any()


@pytest.mark.parametrize("how", [
    {}, {"relax_upper_bound": 1.0}, {"segmentation": "boundary"}, {"relax_control": "void"}, {"relax_control": "moved"},
])  # fmt: skip
def test_the_parts_of_two_processes_add_up_to_the_batch(monkeypatch, how):
    """The second part is nearly void. Class weights are by image, so parts do not change them."""
    loss, (logits, labels) = replace(RELAXED, **how), blocks(batch=4, void=0.1)
    labels[1, 3:], labels[3, 2:] = VOID, VOID
    sets = torch.where(several(allowed_sets(labels, CLASSES)), 3, allowed_sets(labels, CLASSES, border=0))
    sets = sets if loss.relax_control == "moved" else None
    whole = segmentation_loss(logits, Targets(labels, sets=sets), loss)
    monkeypatch.setattr(criterion.distributed, "size", lambda: 2)

    def parts(weight):
        monkeypatch.setattr(criterion.distributed, "weight", weight)
        return [segmentation_loss(logits[i::2], Targets(labels[i::2], sets=None if sets is None else sets[i::2]), loss)
                for i in range(2)]  # fmt: skip

    counts = []
    parts(lambda count: counts.append(count) or 1)
    values = parts(lambda count: count * 2 / sum(counts))
    assert counts[0] > 5 * counts[1] > 0
    assert sum(values).item() / 2 == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["relaxed", "boundary"])
def test_class_weights_of_a_batch_are_the_same_in_its_parts(monkeypatch, kind):
    loss = replace(RELAXED, segmentation=kind, relax_upper_bound=6.0, relax_weights_over="batch")
    logits, labels = blocks(batch=4, void=0.1)
    labels[1::2, :, 12:] = 2  # the parts differ in their shares
    whole = segmentation_loss(logits, Targets(labels), loss)

    def parts():
        return [segmentation_loss(logits[i::2], Targets(labels[i::2]), loss) for i in range(2)]

    alone, values, _, counts = in_two_processes(monkeypatch, parts)
    assert sum(values).item() / 2 == pytest.approx(whole.item(), rel=1e-6)
    assert alone[0].item() != pytest.approx(values[0].item() / (2 * counts[0] / sum(counts)).item(), rel=1e-3)


def test_sets_of_the_borders_give_label_relaxation():
    logits, labels = blocks(batch=2, void=0.1)
    value = cross_entropy_over_sets(logits, labels, allowed_sets(labels, CLASSES, strict=(2,)))
    assert torch.equal(value, relaxed_cross_entropy(logits, labels, strict=(2,)))
    assert torch.equal(void_borders(labels, CLASSES, border=0), allowed_sets(labels, CLASSES, border=0))


def test_classes_that_the_data_set_lacks_are_refused():
    assert strict_classes(replace(RELAXED, relax_strict="0 4"), CLASSES) == (0, 4)
    with pytest.raises(ValueError, match=r"loss.relax_strict = '5'; allowed: numbers from 0 to 4"):
        strict_classes(replace(RELAXED, relax_strict="5"), CLASSES)
    with pytest.raises(ValueError, match=r"loss.segmentation = 'relaxed'; .* with 64 classes, .* at most 63"):
        strict_classes(RELAXED, 64)
    assert strict_classes(Loss(), 64) == ()


@pytest.mark.parametrize(
    "loss",
    [
        Loss(),
        Loss(segmentation="focal"),
        Loss(segmentation="ohem"),
        replace(RELAXED, relax_upper_bound=1.0, relax_weights_over="batch"),
        Loss(segmentation="boundary", relax_upper_bound=1.0, relax_weights_over="batch"),
        Loss(class_weights="batch", class_bound=1.0),
        Loss(fa_form="dootmaan"),
    ],
)
def test_without_gradients_a_process_computes_the_loss_of_its_own_batch(monkeypatch, loss):
    """As in validation, where the others may compute none: they would be waited for."""
    logits, labels = blocks(batch=2, void=0.1)
    outputs = {"logits": logits, "image": torch.randn(2, 3, 24, 24)}
    outputs |= {"seg_map": torch.randn(2, 3, 24, 24), "sr_map": torch.randn(2, 3, 24, 24)}
    targets = Targets(labels, torch.randn(2, 3, 24, 24))
    with torch.no_grad():
        alone = criterion.criterion(outputs, targets, loss)
        monkeypatch.setattr(criterion.distributed, "size", lambda: 2)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        shared = criterion.criterion(outputs, targets, loss)  # there is no group of processes
    assert shared == alone
