"""KITTI: frames of many sizes are read, trained on and scored; bad ones are named."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from written_frames import cycle, picture, save

from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import load_split
from dsrl_lib.data.transforms import frame_size
from dsrl_lib.deploy.predict import predict
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.evaluation.report import split_report
from dsrl_lib.network import load
from dsrl_lib.overrides import override
from dsrl_lib.training.fit import fit
from study.presets import preset

KITTI_SIZES = ((32, 64), (33, 67), (30, 64))


@pytest.fixture
def kitti(root: Path) -> Path:
    """Twelve frames of three sizes."""
    for k in range(12):
        size = KITTI_SIZES[k % 3]
        save(root / f"kitti/training/image_2/{k:06}_10.png", picture(k, size))
        save(root / f"kitti/training/semantic/{k:06}_10.png", cycle(7, 11, 24, 6, 255, size=size))
    return root / "kitti"


def test_kitti_is_read_at_the_sizes_it_has(kitti: Path) -> None:
    train, val = load_split("kitti", "train"), load_split("kitti", "val")
    assert val.names == ["000000_10", "000010_10"] == load_split("kitti", "test").names
    assert train.names == [f"{k:06}_10" for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)]
    assert load_split("kitti_cv1", "val").names == ["000001_10", "000011_10"]
    assert load_split("kitti_cv2", "val").names == ["000002_10"]
    assert [label.shape for label in train.labels][:3] == [(33, 67), (30, 64), (32, 64)]
    for index, k in enumerate((1, 2)):
        assert (train.images[index] == picture(k, KITTI_SIZES[k])).all()
        assert (train.labels[index] == cycle(0, 2, 11, 255, 255, size=KITTI_SIZES[k])).all()
    again = pickle.loads(pickle.dumps(train))
    assert again.manifest_hash == train.manifest_hash and (again.images[1] == train.images[1]).all()
    for path in (kitti / "training/image_2").glob("*"):
        path.unlink() if path.stem != "000000_10" else None
    with pytest.raises(DataError, match=r"kitti_cv1 val is empty: too few files"):
        load_split("kitti_cv1", "val")


def test_frames_of_many_sizes_keep_their_aspect(kitti: Path) -> None:
    config = override(preset("smoke", "lr"), "data.dataset", "kitti")
    assert frame_size((33, 67), config.data) == (128, 260)  # 67 / 33 * 128
    assert frame_size((33, 67), preset("smoke", "lr").data) == (128, 256)
    for key, value in {"height": 30, "crop_height": 40, "crop_width": 100, "scale_max": 0.5, "flip": 0.0}.items():
        config = override(config, f"data.{key}", value)
    sample = TrainingSet(load_split("kitti", "train"), config.data, seed=0, input_scale=0.5)[0, 1]
    frame = (sample["labels"] != 255) | (sample["hr"] != torch.tensor([124, 116, 104])[:, None, None]).any(0)
    assert frame.any(1).sum() == 15 and frame.any(0).sum() == 32  # 30 x 64 at scale 0.5; the rest of the crop is void
    assert sample["hr"].shape == (3, 40, 100) and sample["input"].shape == (3, 20, 50)


def test_training_and_scores_on_frames_of_many_sizes(kitti: Path, results: Path) -> None:
    tiny = ("data.height=32", "data.crop_height=40", "data.crop_width=64", "optim.epochs=1", "optim.batch_size=5")
    config = preset("smoke", "sssr", overrides=("data.dataset=kitti", *tiny))
    directory = fit(config, device="cpu", progress=False)
    known = [(load_split("kitti", "val").labels[k] != 255).sum() for k in range(2)]
    with np.load(directory / "counts_val.npz") as counts:  # at the original sizes: every known pixel is counted once
        assert counts["counts"][:, :, [0, 2]].sum((1, 2)).tolist() == known
        stored = counts["counts"]
    model, config = load(directory / "final.safetensors")
    assert (evaluate(model, load_split("kitti", "val"), config).counts == stored).all()
    report = split_report(model, config, "kitti", "val", progress=False)
    assert report.evaluation.counts[:, :, [0, 2]].sum((1, 2)).tolist() == known
    done = predict(model, config, ["kitti:val"], results / "predicted", progress=False)
    assert (done.written, done.failed) == (2, ())
    with Image.open(results / "predicted/diff/000010_10.png") as picture_of_errors:
        assert picture_of_errors.size == (67, 33)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("folder", r"looked for .*kitti/training/semantic. Get data_semantics.zip from https://www.cvlibs.net"),
        ("label", r"image .*image_2/000001_10.png has no label map: looked for .*semantic/000001_10.png"),
        ("size", r"semantic/000001_10.png is 32 x 67, not 33 x 67 .* as .*image_2/000001_10.png is"),
        ("id", r"semantic/000001_10.png has unknown ids \[40\]; known ids are 0-33, 255"),
        ("truncated", r"cannot read image .*image_2/000001_10.png"),
        ("empty", r"no images in .*kitti/training/image_2"),
    ],
)
def test_bad_frames_are_errors_that_name_the_file(kitti: Path, case: str, said: str) -> None:
    image, label = (kitti / f"training/{folder}/000001_10.png" for folder in ("image_2", "semantic"))
    match case:
        case "folder":
            shutil.rmtree(label.parent)
        case "label":
            label.unlink()
        case "size":
            save(label, cycle(7, size=(32, 67)))
        case "id":
            save(label, cycle(40, size=(33, 67)))
        case "truncated":
            image.write_bytes(image.read_bytes()[:100])
        case "empty":
            shutil.rmtree(image.parent)
            image.parent.mkdir()
    with pytest.raises(DataError, match=said):
        loaded = load_split("kitti", "train")
        _ = loaded.images[0], loaded.labels[0]
