"""Profile `camvid_gpu` at toy size on the CPU, where no GPU is to be had."""

import json

import numpy as np
import pandas as pd
import pytest
from written_frames import save

from dsrl_lib import runs
from study import train
from study.presets import parent_of, preset

TOY = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.epochs=2",
       "optim.batch_size=2", "optim.validate_every=2", "model.pretrained=none")  # fmt: skip


@pytest.fixture(autouse=True)
def camvid(tmp_path, monkeypatch, results):
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for number in range(4):
            name = f"0016E5_{number:05}.png"
            save(tmp_path / f"data/camvid/{split}/{name}", rng.integers(0, 256, (32, 64, 3), np.uint8))
            save(tmp_path / f"data/camvid/{split}annot/{name}", rng.integers(0, 12, (32, 64), np.uint8))


def test_the_method_is_trained_in_calls_that_end_early(monkeypatch):
    """As calls of ten minutes do: the second one trains what the first one left."""
    config, real = preset("camvid_gpu", "dsrl_res", overrides=TOY), train.fit

    def stopped(stage, **how):
        if stage.arm == "sssr_sisr_res":
            raise KeyboardInterrupt
        return real(stage, **how)

    monkeypatch.setattr(train, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        train.train_with_parents(config, device="cpu", progress=False)
    first = runs.folder(parent_of(parent_of(config))) / runs.WEIGHTS
    before = first.stat().st_mtime_ns
    monkeypatch.setattr(train, "fit", real)
    stages = runs.chain(train.train_with_parents(config, device="cpu", progress=False))
    assert first.stat().st_mtime_ns == before
    assert [(stage.arm, stage.optim.epochs) for stage in stages] == [("sssr", 2), ("sssr_sisr_res", 2), ("dsrl_res", 2)]
    for stage in stages:
        assert runs.is_complete(runs.folder(stage))
        calibrated = {name for name, share in (("w1", stage.loss.share_sisr), ("w2", stage.loss.share_fa)) if share}
        assert set(json.loads((runs.folder(stage) / "env.json").read_text()).get("loss_weights", {})) == calibrated
        history = pd.read_csv(runs.folder(stage) / "history.csv")
        assert len(history) == 2 and history["val_miou"].notna().tolist() == [False, True]
