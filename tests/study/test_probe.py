"""What a linear map reads of the image from features: cases whose answer is known, and a solver of its own."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_runs import TINY

from study.presets import preset
from study.probe import Regression, blocks, joined, neighbourhoods, taps_table


def test_blocks_are_the_pixels_under_each_cell_and_can_be_joined_again():
    image = torch.randn(1, 3, 10, 7)
    pixels = blocks(image, (3, 2), 4)
    assert pixels.shape == (6, 48)
    assert torch.equal(pixels[1].reshape(3, 4, 4)[:, :, :3], image[0, :, :4, 4:7])  # row 0, column 1
    assert torch.equal(joined(pixels, (3, 2), 4, (10, 7)), image)


def test_a_cell_sees_the_cells_around_it():
    features = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert neighbourhoods(features)[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert neighbourhoods(features)[0].tolist() == [0, 0, 1, 0, 0, 1, 4, 4, 5]  # the border is repeated


def test_features_that_hold_the_pixels_give_them_back_and_constant_ones_their_mean():
    rng = torch.Generator().manual_seed(0)
    train, new = torch.randn(400, 12, generator=rng), torch.randn(50, 12, generator=rng)
    mixing = torch.randn(12, 12, generator=rng)
    holds, constant = Regression(), Regression()
    for batch in train.split(150):
        holds.add(batch @ mixing, batch)
        constant.add(torch.full((len(batch), 5), 3.0), batch)
    coefficients, intercept = holds.solve(ridge=1e-9)
    assert torch.allclose(new @ mixing @ coefficients + intercept, new, atol=1e-3)
    coefficients, intercept = constant.solve()
    assert not coefficients.any() and torch.allclose(intercept, train.mean(0), atol=1e-6)


def test_without_a_penalty_it_is_least_squares():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)) * [1, 10, 0.1, 1] + 5, rng.normal(size=(60, 2))
    fit = Regression()
    fit.add(torch.tensor(x), torch.tensor(y))
    coefficients, intercept = fit.solve(ridge=0)
    expected = np.linalg.lstsq(np.column_stack([x, np.ones(60)]), y, rcond=None)[0]
    assert np.vstack([coefficients, intercept[None]]) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_an_encoder_whose_maps_are_constant_restores_the_mean_and_the_input_more():
    def maps(x):
        return [torch.ones(1, 2, x.shape[2] // stride, x.shape[3] // stride) for stride in (2, 4, 8, 16)]

    config = preset("smoke", "sssr", overrides=TINY)
    rng = np.random.default_rng(0)
    # Smooth frames, so that the input says much about the HR pixels: their frequencies differ.
    place = np.linspace(0, 1, 64)
    images = [
        np.broadcast_to(
            (127 + 90 * np.sin(2 * np.pi * (rng.uniform(1, 3) * place + rng.uniform())))[None, :, None], (32, 64, 3)
        ).astype(np.uint8)
        for _ in range(6)
    ]
    train, val = images[:4], images[4:]
    table = taps_table(SimpleNamespace(host=SimpleNamespace(base_net=maps)), config, train, val)
    # Under a cell of stride 2 lie 4 x 4 pixels, each of which is restored as its mean over all cells.
    mean = np.mean([image.reshape(8, 4, 16, 4, 3).mean((0, 2)) for image in train], 0)
    error = [np.mean((np.tile(mean, (8, 16, 1)) - image) ** 2) / 255**2 for image in val]
    psnr = table["PSNR (dB)"]
    assert psnr["linear, from stride 2"] == pytest.approx(np.mean(-10 * np.log10(error)), abs=0.01)
    assert psnr["linear, from input"] > psnr["nearest upsampling"] > psnr["linear, from stride 2"]
    assert table["numbers"].to_dict()["linear, from input"] == 27
