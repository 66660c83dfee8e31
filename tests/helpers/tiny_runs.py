"""Runs of a few seconds, and what must be the same when one is repeated."""

import json
from pathlib import Path

import pandas as pd
import torch

from dsrl_lib import network
from dsrl_lib.config import Config
from study.presets import preset

TINY = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.epochs=1",
        "optim.precision=fp32")  # fmt: skip


def tiny(arm: str, *overrides: str) -> Config:
    """A run of four steps per stage. The fixture `trained` trains it once for all tests that only read it."""
    return preset("smoke", arm, overrides=(*TINY, *overrides))


def content(directory: Path) -> dict:
    """All that a repeat must reproduce: weights, counts, scores, history without speed."""
    tensors, _ = network.read(directory / "final.safetensors")
    history = pd.read_csv(directory / "history.csv").drop(columns="images_per_s")
    metrics = json.loads((directory / "metrics.json").read_text())
    counts = (directory / "counts_test.npz").read_bytes()
    return {"tensors": tensors, "history": history.to_csv(), "test": metrics["test"], "counts": counts}


def assert_same(one: Path, two: Path) -> None:
    a, b = content(one), content(two)
    assert a["tensors"].keys() == b["tensors"].keys()
    assert all(torch.equal(a["tensors"][key], b["tensors"][key]) for key in a["tensors"])
    assert {k: v for k, v in a.items() if k != "tensors"} == {k: v for k, v in b.items() if k != "tensors"}
