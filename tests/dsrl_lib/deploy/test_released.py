"""Released weights: each opens by its name and sees the three real frames as it did when it was released."""

import json
from pathlib import Path

import numpy as np
import pytest

from dsrl_lib.data.frames import read_pair
from dsrl_lib.data.readers import camvid
from dsrl_lib.deploy.pretrained import from_pretrained, released
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.metrics import counts, miou
from dsrl_lib.paths import root

FRAMES = root() / "tests" / "frames" / "camvid"
RECORDED = json.loads((Path(__file__).parent / "released.json").read_text())
"""By name: counts (3 frames, K, 3) on the CPU that trained the weights. Another CPU may round differently."""


def scored(name: str) -> np.ndarray:
    model, config = from_pretrained(name)
    model.eval()
    found = []
    for frame in camvid.frames(FRAMES, "val"):
        image, label = read_pair(frame)
        out = forward(model, network_input(image, config), config)
        found.append(counts(class_ids(out["logits"].detach(), label.shape), label, model.host.classes))
    return np.stack(found)


def test_every_released_file_has_recorded_counts():
    assert set(RECORDED) == set(released()) != set()


@pytest.mark.parametrize("name", released())
def test_released_weights_see_the_frames_as_recorded(name):
    now, then = scored(name), np.array(RECORDED[name])
    assert np.abs(now - then).sum() <= 0.01 * then[..., :2].sum()  # pixels on the border between two classes
    assert 100 * miou(now) == pytest.approx(100 * miou(then), abs=0.5)


def test_an_unknown_name_lists_the_released_ones(results):
    with pytest.raises(ValueError, match=r"no run 'dsrl-camvit'.*released weights: dsrl-camvid"):
        from_pretrained("dsrl-camvit")
