"""A network of your own, wrapped by names of its layers, in the doors that take a network and a configuration."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dsrl_lib import DSRL, Config, NamedLayers, class_table, evaluate, export, predict, split_report

CONFIG = Config()
CLASSES = len(class_table(CONFIG.data.dataset).classes)


def own(classes: int) -> DSRL:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 7, 4, 3), nn.Conv2d(8, 16, 3, 2, 1), nn.Conv2d(16, classes, 1))
    return DSRL(NamedLayers(network, low="0", deep="1", classifier="2"), sisr=True, fa=True).eval()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_it_predicts_and_is_exported(picture: Path, tmp_path: Path) -> None:
    network = own(CLASSES)
    assert predict(network, CONFIG, picture, tmp_path / "out", progress=False).failed == ()
    file = tmp_path / "own.pt"
    export(copy.deepcopy(network), CONFIG, file, "torchscript", normalised=True)
    images = torch.randn(1, 3, 40, 72, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(str(file))(images), network(images)["logits"])


@pytest.mark.parametrize("classes", [CLASSES - 1, CLASSES + 1])
def test_another_number_of_classes_than_the_data_set_has_is_refused(
    classes: int, picture: Path, tmp_path: Path
) -> None:
    network = own(classes)
    message = f"data.dataset = 'streets' has {CLASSES} classes, the network {classes}; allowed: "
    with pytest.raises(ValueError, match=message):
        predict(network, CONFIG, picture, tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match=message):
        export(network, CONFIG, tmp_path / "own.pt", "torchscript")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_it_is_not_scored_by_other_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsrl_lib.evaluation.report.load_split", None)  # it is refused before a frame is read
    with pytest.raises(ValueError, match=r"the network 5; allowed: a data set with the network's classes"):
        split_report(own(5), CONFIG, "streets", "val")


def test_a_network_that_was_not_put_into_dsrl_is_named(picture: Path, tmp_path: Path) -> None:
    bare = nn.Sequential(nn.Conv2d(3, CLASSES, 1))
    calls = (
        lambda: predict(bare, CONFIG, picture, tmp_path / "out", progress=False),
        lambda: export(bare, CONFIG, tmp_path / "own.pt", "torchscript"),
        lambda: split_report(bare, CONFIG, "streets", "val"),
        lambda: evaluate(bare, None, CONFIG),
    )
    for call in calls:
        with pytest.raises(TypeError, match=r"a Sequential is no DSRL; put it into one: DSRL\(NamedLayers"):
            call()
