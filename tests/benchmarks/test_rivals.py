"""The step of a public reimplementation, from a stand-in for its checkout that is written here."""

import sys

import pytest
import torch

from benchmarks.rivals import RIVALS, rival_step, rivals_bench
from benchmarks.stages import Case

TINY = Case("espnetv2_s0.5", 32, 64, 2, "fp32", dataset="cityscapes")
BODY = """
import torch
from torch import nn

class Body(nn.Module):
    def __init__(self, classes, maps):
        super().__init__()
        self.classes, self.maps = nn.Conv2d(3, classes, 1), nn.Conv2d(3, maps, 1)
        self.picture = nn.Conv2d(3, 3, 1)
        self.steps = 0

    def forward(self, x):
        assert self.training and x.shape == (2, 3, 16, 32)
        self.steps += 1
        x = nn.functional.interpolate(x, scale_factor=2)
        return self.classes(x), self.picture(x), self.maps(x), self.maps(x).flip(0)
"""
STAND_INS = {
    "dootmaan": {
        "modeling/deeplab.py": f"""{BODY}
import torch.utils.model_zoo as model_zoo

class DeepLab(Body):
    def __init__(self, backbone="resnet", output_stride=16, num_classes=21, sync_bn=True):
        assert not sync_bn and num_classes == 19
        super().__init__(num_classes, 3)
        self.load_state_dict(model_zoo.load_url("https://localhost/resnet101.pth"), strict=False)

    def get_1x_lr_params(self):
        yield from self.classes.parameters()

    def get_10x_lr_params(self):
        yield from self.maps.parameters()
""",
        "utils/fa_loss.py": """
import torch

class FALoss(torch.nn.Module):
    def forward(self, a, b):
        return (a - b).abs().sum()
""",
    },
    "sanje2v": {
        "utils.py": "THERE = True\n",
        "models/__init__.py": f"""{BODY}
import utils

class DSRL(Body):
    def __init__(self, stage, dataset_settings):
        assert stage == 3 and utils.THERE
        super().__init__(dataset_settings.NUM_CLASSES, 1)
""",
        "models/losses/__init__.py": """
import torch as t

class FALoss(t.nn.Module):
    def forward(self, a, b):
        t.Assert(a.shape == b.shape, "of one size")
        return t.nn.functional.l1_loss(a, b)
""",
    },
}


@pytest.fixture
def checkouts(tmp_path):
    for name, files in STAND_INS.items():
        for path, text in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return {name: tmp_path / name for name in STAND_INS}


@pytest.mark.parametrize(("name", "never"), [("dootmaan", {"picture"}), ("sanje2v", set())])
def test_a_step_trains_what_the_rival_trains(checkouts, name, never, monkeypatch):
    made = []
    trained = RIVALS[name].trained

    def kept(*modules):
        made.append(trained(*modules))
        return made[0]

    monkeypatch.setitem(RIVALS, name, RIVALS[name].__class__("", RIVALS[name].modules, kept))
    step = rival_step(name, checkouts[name], TINY)
    network = made[0][0]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    step()
    step()
    assert network.steps == 2
    same = {key.partition(".")[0] for key, value in network.state_dict().items() if torch.equal(value, before[key])}
    assert same == never
    assert not {"utils", "models", "modeling"} & set(sys.modules) and not hasattr(torch, "Assert")
    assert str(checkouts[name]) not in sys.path


def test_all_take_turns_and_ratios_are_to_ours(checkouts, monkeypatch):
    times = iter([9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 2.0, 6.0, 2.0, 1.0, 4.0, 2.0])
    monkeypatch.setattr("benchmarks.rivals.process_seconds", lambda step: step() or next(times))
    ours, first, second = rivals_bench(checkouts, TINY, repeats=3)
    assert ours == {"what": "ours", "seconds": 1.0, "to_ours": 1.0, "least": 1.0, "most": 1.0}
    assert first == {"what": "dootmaan", "seconds": 4.0, "to_ours": 3.0, "least": 2.0, "most": 4.0}
    assert second == {"what": "sanje2v", "seconds": 2.0, "to_ours": 2.0, "least": 1.0, "most": 3.0}


def test_a_path_without_the_files_is_explained(command_line, checkouts, tmp_path):
    (checkouts["dootmaan"] / "utils" / "fa_loss.py").unlink()
    done = command_line("benchmarks", "stages", "--dootmaan", checkouts["dootmaan"])
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no utils/fa_loss.py there; allowed: a checkout of Dootmaan/DSRL" in done.stderr
    done = command_line("benchmarks", "stages", "--sanje2v", tmp_path / "nowhere")
    assert done.returncode == 1 and "no models.py there; allowed: a checkout of sanje2v/" in done.stderr
    done = command_line("benchmarks", "loader", "--sanje2v", checkouts["sanje2v"])
    assert done.returncode == 1 and "--sanje2v with 'loader'; allowed: with stages or all" in done.stderr


def test_what_the_checkout_lacks_is_named(checkouts):
    (checkouts["sanje2v"] / "utils.py").write_text("import a_package_that_is_nowhere\n")
    with pytest.raises(ValueError, match="cannot be imported: No module named 'a_package_that_is_nowhere'"):
        rival_step("sanje2v", checkouts["sanje2v"], TINY)
    (checkouts["sanje2v"] / "utils.py").write_text("print 'of Python 2'\n")
    with pytest.raises(ValueError, match="cannot be imported: Missing parentheses"):
        rival_step("sanje2v", checkouts["sanje2v"], TINY)
    assert not {"utils", "models"} & set(sys.modules)
