"""Rotation, hue, grey, blur and black padding: image and labels stay together, and old samples stay as they were."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from aligned_frames import PLAIN, Memory, aligned, inside, read_colours
from PIL import Image
from torchvision.transforms.v2 import functional as F

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import CITYSCAPES, colourise
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.photometric import Effects, apply_effects, draw_effects
from dsrl_lib.data.split import load_split
from dsrl_lib.data.statistics import colour_statistics
from dsrl_lib.data.transforms import Geometry, crop_image, crop_label, draw_geometry
from dsrl_lib.overrides import override_all
from dsrl_lib.paths import DataError
from dsrl_lib.training.batches import sample_order
from dsrl_lib.training.samples import write_samples

ALL = {"hue": 0.2, "grey": 0.3, "blur": 0.5, "rotation": 15.0}


def geometry(angle, source=(0, 0, 64, 96), target=(0, 0, 64, 96), flip=False):
    return Geometry(source, target, flip, angle)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 2.0), (0.4, 2.5)])
@pytest.mark.parametrize("stored", [(64, 96), (48, 160)])
def test_image_and_labels_turn_together(stored, scales):
    low, high = scales
    data = replace(PLAIN, crop_height=56, crop_width=72, scale_min=low, scale_max=high, flip=0.5, rotation=40)
    samples, compared = TrainingSet(Memory(aligned(*stored)), data, seed=3, input_scale=0.5), 0
    for epoch in range(20):
        sample = samples[epoch, 0]
        assert sample["hr"].shape == (3, 56, 72) and sample["input"].shape == (3, 28, 36)
        assert sample["labels"].shape == (56, 72) and {v.dtype for v in sample.values()} == {torch.uint8}
        assert torch.equal(sample["labels"], samples.labels((epoch, 0)))
        labels = sample["labels"].numpy()
        sure = inside(labels, 2)
        assert (read_colours(sample["hr"])[sure] == labels[sure]).all()
        compared += sure.sum()
    assert compared > 2_000


@pytest.mark.parametrize(("angle", "turns"), [(90.0, 1), (-90.0, 3), (180.0, 2)])
def test_quarter_turns_are_exact(angle, turns):
    image, label = aligned(64, 64)
    square = geometry(angle, (0, 0, 64, 64), (0, 0, 64, 64))
    assert (crop_label(label, square, (64, 64)).numpy() == np.rot90(label, turns)).all()
    turned = crop_image(image, square, (64, 64)).permute(1, 2, 0).numpy()
    assert (turned == np.rot90(image, turns)).all()


def test_a_turned_crop_shows_the_frame_around_it_and_void_outside():
    """A pixel of the crop shows what is at its place in the frame, turned back about the centre of the crop."""
    label = np.arange(80, dtype=np.uint8)[:, None].repeat(120, 1)  # the row is the label
    angle, top, left = 30.0, 20, 30
    turned = crop_label(label, geometry(angle, (top, left, 40, 60), (0, 0, 40, 60)), (40, 60)).numpy()
    y, x = np.mgrid[0.5:40, 0.5:60]
    sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    row = top + 20 + (y - 20) * cos + (x - 30) * sin
    column = left + 30 - (y - 20) * sin + (x - 30) * cos
    assert row.min() > 0 and row.max() < 80 and column.min() > 0 and column.max() < 120
    assert (np.abs(turned - row) < 1.01).all()  # no void: the frame has all of it
    whole = crop_label(np.zeros((40, 60), np.uint8), geometry(angle, (0, 0, 40, 60), (0, 0, 40, 60)), (40, 60))
    assert whole[0, 0] == 255 and whole[20, 30] == 0 and set(whole.unique().tolist()) == {0, 255}


def test_what_is_off_draws_nothing_and_what_is_on_moves_nothing_else():
    image, label = aligned()
    plain = replace(PLAIN, scale_max=2.0, flip=0.5, colour=0.3)
    old = TrainingSet(Memory((image, label)), plain, seed=1, input_scale=0.5)
    new = TrainingSet(Memory((image, label)), replace(plain, hue=0.1, grey=1.0, blur=1.0), seed=1, input_scale=0.5)
    for epoch in range(5):
        assert torch.equal(old[epoch, 0]["labels"], new[epoch, 0]["labels"])
        grey = new[epoch, 0]["hr"]
        assert torch.equal(grey[0], grey[1]) and not torch.equal(old[epoch, 0]["hr"], grey)
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    assert draw_effects(rng, plain) == Effects() and rng.random() == again.random()


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    memory, data = Memory(aligned(), aligned(seed=1)), replace(PLAIN, scale_max=2.0, **ALL)
    first, second = (TrainingSet(memory, data, seed=4, input_scale=0.5) for _ in range(2))
    second[0, 0], second[3, 1]
    for key in ((2, 1), (0, 1), (2, 0)):
        assert all(torch.equal(first[key][name], second[key][name]) for name in first[key])
    assert not torch.equal(first[0, 1]["hr"], first[1, 1]["hr"])


def test_draws_have_their_ranges_and_probabilities():
    data = replace(PLAIN, **ALL)
    looks = [draw_effects(np.random.default_rng(seed), data) for seed in range(2000)]
    assert max(abs(look.hue) for look in looks) == pytest.approx(0.2, abs=0.01)
    assert np.mean([look.grey for look in looks]) == pytest.approx(0.3, abs=0.04)
    sigmas = [look.sigma for look in looks if look.sigma]
    assert len(sigmas) / 2000 == pytest.approx(0.5, abs=0.04)
    assert 0.15 <= min(sigmas) < 0.2 and 1.25 < max(sigmas) <= 1.3
    angles = [draw_geometry(np.random.default_rng(seed), (64, 96), data).angle for seed in range(500)]
    assert -15 <= min(angles) < -14 and 14 < max(angles) <= 15


def test_blur_has_the_standard_deviation_that_it_says():
    image = torch.zeros(3, 31, 31, dtype=torch.uint8)
    image[:, :, 15:] = 255
    profile = apply_effects(image, Effects(sigma=1.2))[0, 15].double().diff() / 255  # the kernel's line spread
    place = torch.arange(30.0).double()
    mean = (profile * place).sum()
    assert profile.sum() == pytest.approx(1) and mean == pytest.approx(14, abs=0.05)
    assert (profile * (place - mean) ** 2).sum().sqrt() == pytest.approx(1.2, abs=0.05)
    assert apply_effects(image[:, :4, :4], Effects(sigma=1.3)).shape == (3, 4, 4)  # smaller than the kernel


def test_hue_and_grey_are_those_of_torchvision():
    image = torch.from_numpy(aligned()[0].copy()).permute(2, 0, 1)
    assert torch.equal(apply_effects(image, Effects(hue=0.25)), F.adjust_hue(image, 0.25))
    red = apply_effects(torch.tensor([200, 0, 0], dtype=torch.uint8)[:, None, None], Effects(hue=1 / 3)).flatten()
    assert red.tolist() == [0, 200, 0]  # a third of the circle makes red green
    grey = apply_effects(image, Effects(grey=True)).float()
    assert ((grey[0] - (torch.tensor([0.2989, 0.587, 0.114])[:, None, None] * image).sum(0)).abs() <= 1).all()


def test_padding_is_black_on_request():
    small, label = aligned(16, 32)
    for padding, colour in (("mean", (124, 116, 104)), ("black", (0, 0, 0))):
        data = replace(PLAIN, height=32, width=48, crop_height=64, crop_width=96, padding=padding, rotation=10)
        sample = TrainingSet(Memory((small, label)), data, seed=0, input_scale=1.0)[0, 0]
        outside = sample["hr"][:, inside(np.where(sample["labels"] == 255, 0, 1), 2)
                              & (sample["labels"].numpy() == 255)]  # fmt: skip
        assert outside.shape[1] > 500 and (outside == torch.tensor(colour)[:, None]).all()


def test_statistics_are_those_of_all_pixels_together():
    pairs = [aligned(32, 48), aligned(64, 32, seed=1)]
    every = np.concatenate([image.reshape(-1, 3) for image, _ in pairs]) / 255
    frames = Memory(*pairs[:1])
    frames.images, frames.labels = [image for image, _ in pairs], [label for _, label in pairs]  # of two sizes
    mean, std = colour_statistics(frames)
    np.testing.assert_allclose(mean, every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, every.std(0), rtol=1e-12)


def test_written_samples_are_those_that_a_run_trains_on(tmp_path):
    config = override_all(Config(), ["data.rotation=15", "data.hue=0.1", "optim.batch_size=3", "data.crop_width=128"])
    assert len(write_samples(config, tmp_path / "out", count=5, epoch=2)) == 5
    yours = {tmp_path / "out" / f"epoch{name}.png" for name in ("2_0005", "2_mine", "3_0000")}
    for path in yours:
        path.write_bytes(b"")
    paths = write_samples(config, tmp_path / "out", count=4, epoch=2)
    assert [path.name for path in paths] == [f"epoch2_000{i}.png" for i in range(4)]
    assert {*(tmp_path / "out").iterdir()} - {*paths} == yours  # the fifth of the earlier call is gone
    with pytest.raises(DataError, match=r"epoch2_0005\.png is a file that no earlier call wrote"):
        write_samples(config, tmp_path / "out", count=6, epoch=2)
    split = load_split("streets", "train")
    samples, order = TrainingSet(split, config.data, config.seed, config.model.input_scale), sample_order(0, 2, 64)
    for path, index in zip(paths, order[:4], strict=True):
        sample, pixels = samples[2, int(index)], np.asarray(Image.open(path))
        assert pixels.shape == (128, 3 * 128 + 8, 3)
        assert (pixels[:, 132:260] == sample["hr"].permute(1, 2, 0).numpy()).all()
        assert (pixels[:, 264:] == colourise(sample["labels"].numpy(), CITYSCAPES)).all()
        assert (pixels[::2, :128:2] == sample["input"].permute(1, 2, 0).numpy()).all()
    with pytest.raises(ValueError, match=r"count = 0; allowed: a whole number, 1 or more"):
        write_samples(config, tmp_path, count=0)
    every = override_all(config, ["optim.batch_size=64"])
    assert len(write_samples(every, tmp_path / "all", count=2**63 - 1)) == 64  # an epoch has no more


def test_samples_that_memory_cannot_hold_are_explained(tmp_path, monkeypatch):
    def failing(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 12 bytes")

    monkeypatch.setattr("dsrl_lib.training.samples.sample_picture", failing)
    with pytest.raises(RuntimeError, match=r"^not enough memory .* data\.crop_height or data\.crop_width needs less$"):
        write_samples(Config(), tmp_path / "out", count=1)
    assert not list((tmp_path / "out").iterdir() if (tmp_path / "out").exists() else ())
