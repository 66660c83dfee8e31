"""Joint transforms. In `aligned` frames the colour of a pixel says its label, so misalignment shows."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from aligned_frames import PLAIN, Memory, aligned, inside, read_colours
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional as F

from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.photometric import draw_colour, jitter_colour
from dsrl_lib.data.transforms import (
    MEAN_COLOUR,
    crop_image,
    crop_label,
    draw_geometry,
    evaluation_input,
    reduce_image,
    reduce_labels,
    resize_image,
)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 2.0), (0.5, 1.0), (0.4, 2.5)])
@pytest.mark.parametrize("stored", [(64, 96), (128, 192), (48, 160)])
def test_image_labels_and_input_stay_aligned(scales: tuple[float, float], stored: tuple[int, int]) -> None:
    data = replace(PLAIN, crop_height=56, crop_width=72, scale_min=scales[0], scale_max=scales[1], flip=0.5)
    samples = TrainingSet(Memory(aligned(*stored)), data, seed=3, input_scale=0.5)
    compared = 0
    for epoch in range(40):
        sample = samples[epoch, 0]
        assert sample["hr"].shape == (3, 56, 72) and sample["input"].shape == (3, 28, 36)
        assert sample["labels"].shape == (56, 72)
        assert {v.dtype for v in sample.values()} == {torch.uint8}
        labels = sample["labels"].numpy()
        sure = inside(labels, 2)
        assert (read_colours(sample["hr"])[sure] == labels[sure]).all()
        reduced = reduce_labels(sample["labels"][None], (28, 36))[0].numpy()
        sure_reduced = inside(reduced, 2)
        assert (read_colours(sample["input"])[sure_reduced] == reduced[sure_reduced]).all()
        compared += sure.sum()
    assert compared > 5_000  # the margin has left enough to compare


def test_boundaries_are_where_the_labels_change() -> None:
    """Half-way between two colours lies on the label boundary: no shift of half a pixel at any scale."""
    label = np.zeros((64, 96), np.uint8)
    label[:, 48:] = 1
    image = np.where(label, 255, 0).astype(np.uint8)[:, :, None].repeat(3, 2)
    offsets = []
    for seed in range(60):
        geometry = draw_geometry(
            np.random.default_rng(seed), (64, 96), replace(PLAIN, scale_min=0.6, scale_max=2.9, flip=0.5)
        )
        hr, labels = crop_image(image, geometry, (64, 96)), crop_label(label, geometry, (64, 96))
        row = np.flatnonzero(labels[32] != 255)
        if len(np.unique(labels[32, row])) < 2:
            continue
        change = row[0] + np.flatnonzero(np.diff(labels[32, row].numpy().astype(int)))[0] + 1
        bright = hr[0, 32, row[0] : row[-1] + 1].numpy() / 255
        # The area under the profile gives the edge with sub-pixel accuracy.
        edge = row[-1] + 1 - bright.sum() if bright[-1] > bright[0] else row[0] + bright.sum()
        offsets.append(change - edge)
    assert len(offsets) > 30 and np.abs(offsets).max() <= 0.51
    assert abs(np.mean(offsets)) < 0.1


def test_identity_is_exact() -> None:
    image, label = aligned()
    sample = TrainingSet(Memory((image, label)), PLAIN, seed=0, input_scale=1.0)[0, 0]
    assert (sample["hr"].permute(1, 2, 0).numpy() == image).all()
    assert (sample["labels"].numpy() == label).all() and (sample["input"] == sample["hr"]).all()


def test_flip_is_the_mirror_image_and_half_of_the_samples() -> None:
    image, label = aligned()
    flipped = TrainingSet(Memory((image, label)), replace(PLAIN, flip=1.0), seed=0, input_scale=1.0)[0, 0]
    assert (flipped["hr"].permute(1, 2, 0).numpy() == image[:, ::-1]).all()
    assert (flipped["labels"].numpy() == label[:, ::-1]).all()
    data = replace(PLAIN, flip=0.5)
    share = np.mean([draw_geometry(np.random.default_rng(s), (64, 96), data).flip for s in range(2000)])
    assert abs(share - 0.5) < 0.05


def test_crop_positions_are_uniform_and_reach_both_borders() -> None:
    data = replace(PLAIN, crop_height=40, crop_width=86)  # 25 and 11 positions
    boxes = [draw_geometry(np.random.default_rng(s), (64, 96), data).source for s in range(11_000)]
    for axis, positions in ((0, 25), (1, 11)):
        found = np.bincount([box[axis] for box in boxes], minlength=positions)
        expected = len(boxes) / positions
        assert len(found) == positions
        # chi-squared with positions - 1 degrees of freedom: five standard deviations above its mean
        assert ((found - expected) ** 2 / expected).sum() < positions + 5 * np.sqrt(2 * positions)


def test_scale_is_uniform_over_its_range() -> None:
    data = replace(PLAIN, height=640, width=960, crop_height=320, crop_width=480, scale_min=1.0, scale_max=2.0)
    sides = [draw_geometry(np.random.default_rng(s), (640, 960), data).source[2] for s in range(4000)]
    scales = 320 / np.array(sides)
    assert scales.min() < 1.01 and scales.max() > 1.99
    assert np.allclose(np.quantile(scales, [0.25, 0.5, 0.75]), [1.25, 1.5, 1.75], atol=0.03)


def test_padding_is_void_in_the_mean_colour() -> None:
    data = replace(PLAIN, scale_min=0.5, scale_max=0.5, flip=0.5, colour=0.4)
    samples = TrainingSet(Memory((np.full((64, 96, 3), 255, np.uint8), np.zeros((64, 96), np.uint8))), data, 0, 0.5)
    corners = set()
    for epoch in range(50):
        sample = samples[epoch, 0]
        known = sample["labels"] != 255
        assert known.sum() == 32 * 48
        rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
        assert len(rows) == 32 and len(columns) == 48  # one rectangle
        corners.add((rows[0], columns[0]))
        padding = sample["hr"].permute(1, 2, 0)[~known]
        assert (padding == torch.tensor(MEAN_COLOUR, dtype=torch.uint8)).all()
    assert len(corners) > 30  # the frame lies anywhere in the crop


def test_one_axis_can_be_padded_while_the_other_is_cut() -> None:
    data = replace(PLAIN, crop_height=80, crop_width=48)
    sample = TrainingSet(Memory(aligned()), data, seed=0, input_scale=0.5)[0, 0]
    known = (sample["labels"] != 255).numpy()
    assert known.any(1).sum() == 64 and known.any(0).all()


def test_samples_depend_on_seed_epoch_and_index_only() -> None:
    data = replace(PLAIN, scale_max=2.0, flip=0.5, colour=0.3)
    split = Memory(*(aligned(seed=s) for s in range(4)))
    samples = TrainingSet(split, data, seed=1, input_scale=0.5)
    first = samples[5, 2]
    torch.manual_seed(0)
    np.random.seed(0)
    [samples[0, i] for i in range(4)]
    again = TrainingSet(split, data, seed=1, input_scale=0.5)[5, 2]
    assert all((first[k] == again[k]).all() for k in first)
    others = [samples[4, 2], samples[5, 3], TrainingSet(split, data, seed=2, input_scale=0.5)[5, 2]]
    assert all((first["hr"] != other["hr"]).any() for other in others)
    # The LR input is another reduction of the same crop: geometry does not depend on the input scale.
    assert (TrainingSet(split, data, seed=1, input_scale=0.25)[5, 2]["hr"] == first["hr"]).all()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns of any fork beside threads
def test_workers_do_not_change_samples() -> None:
    data = replace(PLAIN, scale_max=2.0, flip=0.5, colour=0.3)
    samples = TrainingSet(Memory(*(aligned(seed=s) for s in range(4))), data, seed=1, input_scale=0.5)
    keys = [(epoch, index) for epoch in range(2) for index in range(4)]
    alone = list(DataLoader(samples, batch_size=2, sampler=keys))
    context = multiprocessing.get_context("fork")
    shared = list(DataLoader(samples, batch_size=2, sampler=keys, num_workers=2, multiprocessing_context=context))
    assert len(alone) == 4
    assert all((a[k] == b[k]).all() for a, b in zip(alone, shared, strict=True) for k in a)


def triangle(signal: np.ndarray, size: int) -> np.ndarray:
    """Anti-aliased reduction of the first axis by hand: a triangle as wide as two output pixels."""
    ratio = len(signal) / size
    rows = []
    for i in range(size):
        centre = (i + 0.5) * ratio
        weights = np.maximum(0, 1 - np.abs(np.arange(len(signal)) + 0.5 - centre) / ratio)
        rows.append(np.tensordot(weights / weights.sum(), signal, 1))
    return np.stack(rows)


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.75])
def test_reduction_is_a_hand_made_average(scale: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 24, 32), np.uint8)
    reduced = reduce_image(torch.from_numpy(image), scale)
    height, width = round(24 * scale), round(32 * scale)
    by_hand = triangle(image.astype(float).transpose(1, 0, 2), height)  # (h, 3, W)
    by_hand = triangle(by_hand.transpose(2, 0, 1), width).transpose(2, 1, 0)  # (3, h, w)
    assert reduced.shape == (3, height, width)
    assert np.abs(reduced.numpy() - by_hand).max() <= 1.5  # uint8 rounds twice


def test_resizing_has_the_bits_of_torchvision() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width, new_height, new_width = (int(side) for side in rng.integers(1, 120, 4))
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        expected = F.resize(torch.from_numpy(image).permute(2, 0, 1), [new_height, new_width], antialias=True)
        # Without vector instructions torchvision computes in float32 and rounds.
        exact = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
        difference = resize_image(image, new_height, new_width).int() - expected.int()
        assert difference.abs().max() <= (0 if exact else 1)


def test_reduction_does_not_alias() -> None:
    stripes = np.zeros((3, 32, 32), np.uint8)
    stripes[:, :, ::2] = 255
    reduced = reduce_image(torch.from_numpy(stripes), 0.5)
    assert (reduced[:, :, 2:-2].float() - 127.5).abs().max() < 2  # picking pixels would give 0 or 255


def test_evaluation_input_is_the_training_input_of_the_whole_frame() -> None:
    image, label = aligned(128, 192)
    sample = TrainingSet(Memory((image, label)), PLAIN, seed=0, input_scale=0.5)[0, 0]
    assert (evaluation_input(image, 64, 96, 0.5) == sample["input"]).all()
    assert (resize_image(image, 64, 96) == sample["hr"]).all()
    image.flags.writeable = False  # as a memory-mapped frame is
    assert evaluation_input(image, 45, 61, 0.5).shape == (3, 22, 30)
    assert (evaluation_input(image, 128, 192, 1.0).permute(1, 2, 0).numpy() == image).all()


def test_labels_are_reduced_by_pixel_centres() -> None:
    labels = torch.arange(12, dtype=torch.uint8).reshape(1, 2, 6)
    # Of three columns the middle one is taken; of two rows, whose centre lies between them, the second.
    assert reduce_labels(labels, (1, 2)).tolist() == [[[7, 10]]]
    assert reduce_labels(labels, (2, 6)).tolist() == labels.tolist()


@pytest.mark.parametrize("colour", [(1.3, 1.0, 1.0), (1.0, 0.7, 1.0), (1.0, 1.0, 0.4), (0.8, 1.2, 1.3)])
def test_colour_jitter_is_that_of_torchvision(colour: tuple[float, float, float]) -> None:
    image = torch.from_numpy(np.random.default_rng(0).integers(60, 150, (3, 20, 30), np.uint8))  # nothing clips
    expected = F.adjust_brightness(image.float() / 255, colour[0])
    expected = F.adjust_saturation(F.adjust_contrast(expected, colour[1]), colour[2]) * 255
    jittered = jitter_colour(image, colour)
    assert jittered.dtype == torch.uint8
    assert (jittered.float() - expected).abs().max() <= 0.6  # rounding, and luma weights that add up to 0.9999


def test_colour_strength() -> None:
    drawn = np.array([draw_colour(np.random.default_rng(s), 0.2) for s in range(1000)])
    assert drawn.min() < 0.81 and drawn.max() > 1.19 and drawn.min() >= 0.8 and drawn.max() <= 1.2
    assert draw_colour(np.random.default_rng(0), 0.0) == (1, 1, 1)
    assert min(min(draw_colour(np.random.default_rng(s), 3.0)) for s in range(100)) >= 0


def test_a_sample_without_its_epoch_is_refused():
    samples = TrainingSet(Memory(aligned(), aligned()), PLAIN, seed=0, input_scale=0.5)
    with pytest.raises(ValueError, match=r"key = 1; allowed: \(epoch, number\), such as"):
        samples[1]
    loader = DataLoader(samples, batch_size=2, sampler=[(3, number) for number in range(len(samples))])
    assert [len(batch["hr"]) for batch in loader] == [2]
