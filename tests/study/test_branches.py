"""What a SISR branch takes from the encoder: branches that take all of it, or nothing, whose answers are known."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from study import branches
from study.branches import restored, write_branch
from study.report.taps import BICUBIC, OTHER, OWN

SIZE = (16, 32)


class Encoder(torch.nn.Module):
    """Its maps are the HR image itself, which it knows by the input."""

    def __init__(self, inputs, images):
        super().__init__()
        self.inputs, self.images = inputs, images

    def features(self, x):
        return next(image for known, image in zip(self.inputs, self.images, strict=True) if torch.equal(known, x))


class Network(torch.nn.Module):
    def __init__(self, host, uses_maps):
        super().__init__()
        self.host, self.uses_maps = host, uses_maps

    def reconstruct(self, x, features):
        return features if self.uses_maps else F.interpolate(x, SIZE, mode="bicubic", align_corners=False), None


@pytest.fixture
def frames():
    images = list(np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), np.uint8))
    exact = [branches.normalise(torch.from_numpy(image).permute(2, 0, 1)[None]) for image in images]
    inputs = [F.avg_pool2d(image, 2) for image in exact]
    by_frame = {image.tobytes(): x for image, x in zip(images, inputs, strict=True)}
    return inputs, images, exact, lambda image: by_frame[image.tobytes()]


def test_a_branch_that_only_copies_maps_restores_another_frame(frames):
    inputs, images, exact, to_input = frames
    found = restored(Network(Encoder(inputs, exact), True), images, to_input)
    error = [np.mean((images[k] / 255 - images[(k + 2) % 4] / 255) ** 2) for k in range(4)]
    assert found[OTHER] == pytest.approx(np.mean(-10 * np.log10(error)), abs=1e-3)
    assert found[OWN] > 60 > found[BICUBIC] > found[OTHER]


def test_a_branch_that_ignores_maps_restores_the_same_with_any(frames):
    inputs, images, exact, to_input = frames
    found = restored(Network(Encoder(inputs, exact), False), images, to_input)
    assert found[OWN] == found[OTHER] == found[BICUBIC]
    sizes = iter([inputs[0], F.avg_pool2d(inputs[1], 2)])
    with pytest.raises(ValueError, match=r"inputs of \(1, 3, 8, 16\) and \(1, 3, 4, 8\); allowed: frames of one size"):
        restored(Network(Encoder(inputs, exact), False), images, lambda _: next(sizes))


def test_a_row_is_written_beside_the_others_and_arms_without_a_branch_are_refused(trained, results, monkeypatch):
    from tiny_runs import tiny

    config = tiny("sssr_sisr")
    directory = trained(config)
    monkeypatch.setattr(branches, "preset", lambda *_, **__: config)
    monkeypatch.setattr(branches, "weights_of", lambda _: directory)
    path = results / "smoke/tables/branches.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"run,{OWN},{OTHER},{BICUBIC}\nearlier,30.0,20.0,25.0\n{config.run_id},1.0,2.0,3.0\n")
    assert write_branch("smoke", "sssr_sisr") == path
    table = pd.read_csv(path, index_col="run")
    assert table.loc["earlier"].tolist() == [30, 20, 25] and len(table) == 2
    assert table.loc[config.run_id, OWN] != 1 and (table.loc[config.run_id] > 0).all()
    monkeypatch.setattr(branches, "preset", lambda *_, **__: tiny("sssr"))
    with pytest.raises(ValueError, match="arm = 'sssr'; allowed: an arm with a SISR branch"):
        write_branch("smoke", "sssr")
