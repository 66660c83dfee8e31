"""Label relaxation against the original's numbers, loops over pixels, and properties of the formula."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from dsrl_lib.losses.allowed_sets import allowed_sets
from dsrl_lib.losses.class_weights import bounded_weights
from dsrl_lib.losses.label_relaxation import (
    _AtOnce,
    _sum,
    boundary_weighted_cross_entropy,
    relaxed_cross_entropy,
    relaxed_mass,
    thick_boundaries,
)
from dsrl_lib.losses.segmentation import cross_entropy
from dsrl_lib.paths import root

GOLDEN = root() / "tests" / "golden" / "comparators"
CASES = ["w1", "w1_weighted", "w1_strict", "w2", "w1_off", "w1_batch_weights", "void_all", "one_pixel", "camvid_k11"]


def golden(name):
    with np.load(GOLDEN / f"relax_{name}.npz", allow_pickle=False) as file:
        return dict(file)


def example(batch=2, classes=5, h=6, w=7, void=0.2, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(batch, classes, h, w)).astype(np.float32) * 3
    labels = rng.integers(0, classes, (batch, h, w)).astype(np.uint8)
    labels[:, :3, :3] = 1  # some windows of one class
    labels[rng.random(labels.shape) < void] = 255
    labels[0, 3:, 4:] = 255  # and some of void alone
    return torch.from_numpy(logits).requires_grad_(), torch.from_numpy(labels)


def window(label, i, j, border):
    """The labels around a pixel; what lies outside the image is void."""
    h, w = label.shape
    around = range(-border, border + 1)
    return {
        int(label[i + r, j + c]) if 0 <= i + r < h and 0 <= j + c < w else 255 for r in around for c in around
    }  # fmt: skip


def naive_set(label, i, j, border, strict, void_joins):
    own = int(label[i, j])
    if own in strict or (own == 255 and not void_joins):
        return {own} - {255}
    return window(label, i, j, border) - {255}


def naive_loss(logits, labels, border=1, strict=(), upper_bound=0.0, void_joins=True, weights_over="image"):
    """The definition, pixel by pixel in float64."""
    total, pixels = 0.0, 0
    images, classes = labels.numpy(), range(logits.shape[1])
    all_sets = [{at: naive_set(x, *at, border, strict, void_joins) for at in np.ndindex(x.shape)} for x in images]
    counts = [[sum(c in found for found in sets.values()) for c in classes] for sets in all_sets]
    for row, sets, label in zip(counts, all_sets, images, strict=True):
        row.append(sum(255 in window(label, *at, border) and label[at] not in strict for at in sets))
    if weights_over == "batch":
        counts = [[sum(column) for column in zip(*counts, strict=True)]] * len(counts)
    for z, row, sets in zip(logits.detach().double().numpy(), counts, all_sets, strict=True):
        share = [count / sum(row) for count in row[:-1]]
        omega = [1 + upper_bound * (1 - f) if f > 0 else 1 for f in share]
        for at, found in sets.items():
            if found:
                scores = np.exp(z[(slice(None), *at)])
                weight = sum(omega[c] for c in found) / len(found)
                total -= weight * math.log(sum(scores[c] for c in found) / scores.sum())
                pixels += 1
    return total / max(1, pixels)


@pytest.mark.parametrize("name", CASES)
def test_sums_sets_and_gradients_are_those_of_the_original(name):
    g = golden(name)
    labels, border = torch.from_numpy(g["label"]), int(g["window"])
    strict, bound = tuple(g["strict"].tolist()), float(g["bound"])
    for i, (total, valid) in enumerate(zip(g["sum_per_sample"], g["valid_per_sample"], strict=True)):
        logits, label = torch.from_numpy(g["logits"][i : i + 1]).requires_grad_(), labels[i : i + 1]
        if g["relax_off"]:
            value, mass = boundary_weighted_cross_entropy(logits, label, upper_bound=bound), (label != 255).sum()
        else:
            value = relaxed_cross_entropy(logits, label, border=border, strict=strict, upper_bound=bound)
            mass = relaxed_mass(label, border=border)
            sets = allowed_sets(label, logits.shape[1], border=border, strict=strict)
            planes = torch.stack([sets[0] >> c & 1 for c in range(logits.shape[1])])
            assert np.array_equal(planes, g["multihot"][i][:-1])
        assert mass == valid
        assert value.item() * valid == pytest.approx(total, rel=1e-5)
        (gradient,) = torch.autograd.grad(value * int(valid), logits)
        assert np.allclose(gradient, g["grad_of_sum"][i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "over"), [("w1_weighted", "image"), ("w1_batch_weights", "batch")])
def test_class_weights_give_the_batch_loss_of_the_original(name, over):
    """Its fault is put back: it divides each pixel of a sample by the set sizes there of all samples, in turn."""
    g = golden(name)
    labels, z, members = (torch.from_numpy(g[key]) for key in ("label", "logits", "multihot"))
    members = members[:, :-1].bool()  # without the plane of void
    how = {"border": int(g["window"]), "strict": tuple(g["strict"].tolist())}
    sets = allowed_sets(labels, z.shape[1], **how)
    weights = bounded_weights(sets, labels, z.shape[1], **how, upper_bound=float(g["bound"]), weights_over=over)
    size, used = members.sum(1), members.any(1)  # (B, H, W)
    loss = -(z.softmax(1) * members).sum(1).where(used, 1).log() * weights * size
    loss = loss * (1 / size.clamp_min(1)).sum(0)
    total = sum(part.sum() / (valid.sum() + 1) for part, valid in zip(loss, used, strict=True))
    assert total.item() == pytest.approx(g["original_batch_loss"].item(), rel=1e-5)


@pytest.mark.parametrize("border", [0, 1, 2, 9])
@pytest.mark.parametrize("strict", [(), (1, 3)])
@pytest.mark.parametrize("upper_bound", [0.0, 6.0])
@pytest.mark.parametrize("void_joins", [True, False])
def test_loss_is_that_of_the_loop(border, strict, upper_bound, void_joins):
    logits, labels = example()
    how = {"border": border, "strict": strict, "upper_bound": upper_bound, "void_joins": void_joins}
    expected = naive_loss(logits, labels, **how)
    assert relaxed_cross_entropy(logits, labels, **how).item() == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        assert relaxed_cross_entropy(logits, labels, **how).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("border", "strict", "void_joins"), [(0, (), True), (1, (1, 3), True), (2, (), False)])
def test_class_weights_of_a_batch_are_those_of_the_loop(border, strict, void_joins):
    logits, labels = example()
    labels[0, :, : labels.shape[2] // 2] = 2  # so that images differ in their shares
    how = {"border": border, "strict": strict, "upper_bound": 6.0, "void_joins": void_joins}
    expected = naive_loss(logits, labels, **how, weights_over="batch")
    value = relaxed_cross_entropy(logits, labels, **how, weights_over="batch").item()
    assert value == pytest.approx(expected, rel=1e-5)
    assert value != pytest.approx(relaxed_cross_entropy(logits, labels, **how).item(), rel=1e-3)


def test_a_window_far_beyond_the_image_fills_no_memory():
    logits, labels = example()
    expected = naive_loss(logits, labels, border=9, upper_bound=6.0)  # wider than the image too
    value = relaxed_cross_entropy(logits, labels, border=10**6, upper_bound=6.0)
    assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [31, 32, 63])
def test_sets_of_many_classes_are_those_of_the_loop(classes):
    _, labels = example(classes=classes, seed=classes)
    labels[0, 0, 0] = classes - 1
    sets = allowed_sets(labels, classes)
    assert sets.dtype == (torch.int32 if classes == 31 else torch.int64)
    for b, i, j in np.ndindex(tuple(labels.shape)):
        found = {c for c in range(classes) if sets[b, i, j].item() >> c & 1}
        assert found == naive_set(labels[b].numpy(), i, j, 1, (), True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(6, 7), (3, 4)])
def test_border_zero_is_the_cross_entropy_bit_by_bit(dtype, size):
    logits, labels = example()
    logits = F.interpolate(logits.detach(), size).to(dtype).requires_grad_()
    ours, theirs = relaxed_cross_entropy(logits, labels, border=0), cross_entropy(logits, labels)
    assert torch.equal(ours, theirs)
    assert torch.equal(torch.autograd.grad(ours, logits)[0], torch.autograd.grad(theirs, logits)[0])


def test_a_map_of_one_class_gives_the_cross_entropy():
    logits, _ = example()
    labels = torch.full((2, 6, 7), 3)
    ours, theirs = relaxed_cross_entropy(logits, labels), cross_entropy(logits, labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    a, b = (torch.autograd.grad(value, logits)[0] for value in (ours, theirs))
    assert torch.allclose(a, b, atol=1e-8)


def test_more_allowed_classes_never_cost_more():
    logits, labels = example(void=0)
    labels[labels == 255] = 0
    values = [relaxed_cross_entropy(logits, labels, border=border).item() for border in (0, 1, 2)]
    assert values == sorted(values, reverse=True) and values[0] > values[2]


@pytest.mark.parametrize("upper_bound", [0.0, 1.0])
def test_permuted_classes_change_nothing(upper_bound):
    logits, labels = example()
    order = torch.tensor([2, 0, 4, 1, 3])
    place = torch.cat([order.argsort(), torch.full((251,), 255)]).to(torch.uint8)
    a = relaxed_cross_entropy(logits, labels, upper_bound=upper_bound)
    b = relaxed_cross_entropy(logits[:, order], place[labels.long()], upper_bound=upper_bound)
    assert a.item() == pytest.approx(b.item(), rel=1e-6)


@pytest.mark.parametrize("how", [{}, {"upper_bound": 1.0}, {"void_joins": False}, {"border": 2, "strict": (1,)}])
def test_a_batch_is_the_mean_of_its_images_weighted_by_their_mass(how):
    logits, labels = example(batch=3)
    masses = {key: value for key, value in how.items() if key in ("border", "void_joins")}
    mass = [relaxed_mass(labels[i : i + 1], **masses).item() for i in range(3)]
    alone = [relaxed_cross_entropy(logits[i : i + 1], labels[i : i + 1], **how).item() for i in range(3)]
    assert len(set(mass)) > 1
    assert relaxed_cross_entropy(logits, labels, **how).item() == pytest.approx(np.average(alone, weights=mass))


@pytest.mark.parametrize("loss", [relaxed_cross_entropy, boundary_weighted_cross_entropy])
@pytest.mark.parametrize("upper_bound", [0.0, 1.0])
def test_only_void_gives_zero_and_no_gradient(loss, upper_bound):
    logits, labels = example()
    value = loss(logits, torch.full_like(labels, 255), upper_bound=upper_bound)
    value.backward()
    assert value.item() == 0 and logits.grad.abs().max() == 0


def test_void_beside_a_class_is_trained_only_if_it_joins():
    labels = torch.tensor([[[2, 255, 255]]])
    logits = torch.randn(1, 3, 1, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for joins, trained in ((True, [True, True, False]), (False, [True, False, False])):
        (gradient,) = torch.autograd.grad(relaxed_cross_entropy(logits, labels, void_joins=joins), logits)
        assert (gradient != 0).any(1).flatten().tolist() == trained
        assert relaxed_mass(labels, void_joins=joins) == sum(trained)


def test_a_strict_pixel_keeps_its_label_and_lends_it_to_its_neighbours():
    labels = torch.tensor([[[0, 1, 1]]], dtype=torch.uint8)
    assert allowed_sets(labels, 2, strict=(0,)).tolist() == [[[0b01, 0b11, 0b10]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("how", [{}, {"upper_bound": 1.0}])
def test_gaps_of_ten_thousand_stay_finite(dtype, how):
    labels = torch.tensor([[[0, 1, 255, 255]]])  # sets {0, 1}, {0, 1}, {1}, {}
    for z, expected in (([1e4, 0, 0], [0, 0, 1e4]), ([0, 0, 1e4], [1e4, 1e4, 1e4]), ([-1e4, 0, -1e4], [0, 0, 0])):
        logits = torch.tensor(z).to(dtype).view(1, 3, 1, 1).repeat(1, 1, 1, 4).requires_grad_()
        value = relaxed_cross_entropy(logits, labels, **how)
        value.backward()
        assert logits.grad.isfinite().all() and value.dtype == torch.float32
        if how:
            assert value.isfinite()
        else:
            assert value.item() == pytest.approx(sum(expected) / 3, rel=1e-2, abs=1e-6)
        with torch.no_grad():
            assert relaxed_cross_entropy(logits, labels, **how).isfinite()


EXTREMES = [(torch.float32, 3.4e38), (torch.bfloat16, 3.38e38), (torch.float16, 65504), (torch.float64, 1.7e308)]


@pytest.mark.parametrize(("dtype", "largest"), EXTREMES)
@pytest.mark.parametrize("size", [(6, 7), (3, 4)])
@pytest.mark.parametrize("how", [{}, {"upper_bound": 6.0}, {"border": 2, "strict": (1, 3)}])
def test_the_largest_finite_logits_stay_finite(dtype, largest, size, how):
    """Gaps of twice the largest number: the log of a softmax is minus infinity there."""
    _, labels = example()
    signs = torch.randint(-1, 2, (2, 5, *size), generator=torch.Generator().manual_seed(0))
    logits = (signs.double() * largest).to(dtype).requires_grad_()
    assert logits.isfinite().all() and (dtype == torch.float16 or (2 * logits.max()).float().isinf())
    for value in (relaxed_cross_entropy(logits, labels, **how), boundary_weighted_cross_entropy(logits, labels)):
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite() and value > 1e3 and gradient.isfinite().all()
    with torch.no_grad():
        assert relaxed_cross_entropy(logits, labels, **how).isfinite()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_finite_logits_stay_finite_on_a_gpu(dtype):
    _, labels = example()
    sets = allowed_sets(labels, 5)
    signs = torch.randint(-1, 2, (2, 5, 6, 7), generator=torch.Generator().manual_seed(0))
    logits = (signs.to(dtype) * torch.finfo(dtype).max).requires_grad_()
    value = _AtOnce.apply(logits, sets, (sets != 0) / (sets != 0).sum())
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.isfinite() and value > 1e28 and gradient.isfinite().all() and gradient.abs().sum(1).max() <= 2


@pytest.mark.parametrize(("size", "upper_bound"), [((2, 3), 0.0), ((2, 3), 2.0), ((1, 2), 0.0)])
def test_gradient_is_that_of_finite_differences(size, upper_bound):
    logits = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    labels = torch.tensor([[[0, 0, 1], [2, 255, 1]], [[2, 255, 255], [255, 255, 255]]])

    def loss(z):
        return 3 * relaxed_cross_entropy(z, labels, upper_bound=upper_bound)

    assert torch.autograd.gradcheck(loss, logits)


def definition(logits, sets, factors):
    """The sum over pixels by autograd, set by set, in float64."""
    p = logits.double().softmax(1)  # (B, K, H, W)
    total = torch.zeros((), dtype=torch.float64)
    for b, i, j in np.argwhere(sets.numpy() != 0):
        inside = [c for c in range(logits.shape[1]) if sets[b, i, j].item() >> c & 1]
        total = total - p[b, inside, i, j].sum().log() * factors[b, i, j]
    return total


@pytest.mark.parametrize("classes", [5, 40])  # sets in int32 and in int64
@pytest.mark.parametrize("upper_bound", [0.0, 6.0])
def test_fused_gradients_are_those_of_the_definition(classes, upper_bound):
    logits, labels = example(classes=classes)
    sets = allowed_sets(labels, classes)
    weights = bounded_weights(sets, labels, classes, upper_bound=upper_bound, border=1)
    factors = weights / (sets != 0).sum()
    oracle = definition(logits, sets, factors)
    assert oracle.item() == pytest.approx(naive_loss(logits, labels, upper_bound=upper_bound), rel=1e-6)
    planes = logits.contiguous(memory_format=torch.channels_last)
    fused = [relaxed_cross_entropy(z, labels, upper_bound=upper_bound) for z in (logits, planes)]  # of a CPU
    fused += [_AtOnce.apply(z, sets, factors) for z in (logits, planes)]  # of a GPU
    fused += [_sum(logits, sets, factors)]  # without a gradient of its own
    (expected,) = torch.autograd.grad(oracle, logits)
    for value in fused:
        assert value.item() == pytest.approx(oracle.item(), rel=1e-6)
        (gradient,) = torch.autograd.grad(3 * value, logits)
        assert torch.allclose(gradient, 3 * expected, atol=1e-7)


def test_the_gradient_of_a_gpu_is_that_of_finite_differences():
    logits = torch.randn(2, 3, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    sets = allowed_sets(torch.tensor([[[0, 0, 1], [2, 255, 1]], [[2, 255, 255], [255, 255, 255]]]), 3)
    assert torch.autograd.gradcheck(lambda z: _AtOnce.apply(z, sets, (sets != 0) / 7), logits)


@pytest.mark.parametrize("size", [(6, 7), (3, 4)])
def test_a_gpu_takes_the_fused_gradient(size):
    with FakeTensorMode():
        logits = torch.empty(2, 5, *size, dtype=torch.bfloat16, device="cuda", requires_grad=True)
        labels = torch.empty(2, 6, 7, dtype=torch.uint8, device="cuda")
        value = relaxed_cross_entropy(logits, labels)
        assert value.grad_fn.name() == "_AtOnceBackward" and value.dtype == torch.float32
        with torch.no_grad():
            assert relaxed_cross_entropy(logits, labels).device.type == "cuda"


def test_logits_are_resized_bilinearly_without_aligned_corners():
    small = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    _, labels = example()
    large = F.interpolate(small, (6, 7), mode="bilinear", align_corners=False)
    ours, oracle = relaxed_cross_entropy(small, labels), relaxed_cross_entropy(large, labels)
    assert ours.item() == pytest.approx(oracle.item(), rel=1e-6)
    a, b = (torch.autograd.grad(value, small)[0] for value in (ours, oracle))
    assert torch.allclose(a, b, atol=1e-7)


def test_thick_boundaries_are_those_of_the_loop():
    _, labels = example()
    found = thick_boundaries(labels)
    for b, i, j in np.ndindex(tuple(labels.shape)):
        near = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        differ = any(labels[b, r, c] != labels[b, i, j] for r, c in near if 0 <= r < 6 and 0 <= c < 7)
        assert found[b, i, j] == differ


def test_boundaries_weigh_twice():
    logits, labels = example()
    hard = F.cross_entropy(logits, labels.long(), ignore_index=255, reduction="none")
    expected = (hard * (1 + thick_boundaries(labels).float())).sum() / (labels != 255).sum()
    assert boundary_weighted_cross_entropy(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"border": -1}, "border = -1: allowed are the integers 0, 1, 2"),
        ({"border": 0.5}, "border = 0.5: allowed"),
        ({"strict": (5,)}, r"strict = \(5,\): allowed are the classes 0 to 4"),
        ({"upper_bound": -1.0}, "upper_bound = -1.0; allowed: a number 0 or more"),
        ({"weights_over": "epoch"}, "weights_over = 'epoch'; allowed: image, batch"),
        ({"upper_bound": math.nan}, "upper_bound = nan; allowed"),
    ],
)
def test_a_bad_setting_is_named_with_the_allowed_ones(how, message):
    with pytest.raises(ValueError, match=message):
        relaxed_cross_entropy(*example(), **how)


def test_bad_shapes_and_labels_are_refused():
    logits, labels = example()
    with pytest.raises(ValueError, match="labels"):
        relaxed_cross_entropy(logits, labels[:1])
    with pytest.raises(ValueError, match="classes = 64: label relaxation allows 1 to 63"):
        relaxed_cross_entropy(torch.zeros(2, 64, 6, 7), labels)
    with pytest.raises(IndexError, match="labels hold 5; allowed: 0 to 4, and 255 for void"):
        relaxed_cross_entropy(logits, torch.full_like(labels, 5))


class OnDevice(torch.Tensor):
    """Says that it is not on the CPU."""

    is_cpu = False


@pytest.mark.parametrize("loss", [relaxed_cross_entropy, boundary_weighted_cross_entropy])
@pytest.mark.parametrize("unknown", [5, 200, -1])
def test_bad_labels_stop_a_gpu_too(loss, unknown):
    logits, labels = example()
    loss(logits, labels.as_subclass(OnDevice))
    labels = labels.to(torch.int64)
    labels[1, 2, 3] = unknown
    with pytest.raises(RuntimeError, match="labels hold others than the allowed: 0 to 4, and 255 for void"):
        loss(logits, labels.as_subclass(OnDevice))
