"""The examples on the method pages of docs/ run as they are printed."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from dsrl_lib.data.propagation import propagate
from dsrl_lib.paths import root


def run(page: str) -> dict:
    """What the Python blocks of a page leave behind."""
    blocks = re.findall(r"```python\n(.*?)```", (root() / "docs" / "methods" / page).read_text(), re.DOTALL)
    names: dict = {}
    torch.manual_seed(0)
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    return names


def test_adaptive_downsampling():
    names = run("adaptive_downsampling.md")
    assert names["samples"].shape == (2, 3, 64, 128) and names["scores"].shape == (2, 3, 128, 256)
    parts = (names["network"], names["part"])
    assert all(parameter.grad is not None for part in parts for parameter in part.parameters())


@pytest.mark.parametrize(("page", "source"), [("feature_affinity.md", "first"), ("label_relaxation.md", "logits")])
def test_losses(page, source):
    names = run(page)
    names["loss"].backward()
    assert names["loss"] > 0 and names[source].grad.abs().sum() > 0


def test_class_uniform_sampling():
    crops = run("label_relaxation.md")["crops"]
    assert len(crops) == 20 and all(crop.shape == (32, 32) for _, crop in crops)
    for c in range(3):
        assert len(shown := [crop for label, crop in crops if label == c]) == 3 and all((x == c).any() for x in shown)


def test_propagation(monkeypatch):
    if find_spec("cv2") is None:  # the page shows the optical flow of OpenCV
        monkeypatch.setattr(propagate, "__defaults__", (lambda a, b: np.zeros((*a.shape[:2], 2), np.float32),))
    names = run("propagation.md")
    assert [(image.shape, labels.shape) for image, labels in names["pairs"]] == [((64, 128, 3), (64, 128))] * 2
