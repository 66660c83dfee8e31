"""The examples in CONTRIBUTING.md work as they stand there."""

import inspect
import re
import sys
from types import ModuleType

import pytest
import torch

from dsrl_lib import network, registry
from dsrl_lib.config import Config, Data, Loss, Model
from dsrl_lib.losses import terms
from dsrl_lib.losses.criterion import Targets, criterion
from dsrl_lib.losses.segmentation import cross_entropy
from dsrl_lib.paths import root

TEXT = (root() / "CONTRIBUTING.md").read_text()
BLOCKS = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))
"""The code for each file that an example writes."""


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch):
    """added(path): the module of the block for a new file, which can be imported until the test ends."""

    def add(path: str) -> ModuleType:
        module = ModuleType(path.removesuffix(".py").replace("/", "."))
        exec(compile(BLOCKS[path], path, "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    return add


def test_the_host_that_is_added_trains(added, monkeypatch):
    added("dsrl_lib/models/hosts/tiny.py")
    monkeypatch.setitem(registry.HOSTS, "tiny", None)  # so that the entry goes when the test ends
    exec(BLOCKS["dsrl_lib/registry.py"], vars(registry))
    model = network.build(Config(data=Data("camvid"), model=Model("tiny", sssr=True, sisr=True, fa=True)))
    labels = torch.randint(0, 11, (2, 48, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    x = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(2):
        loss = cross_entropy(model(x)["logits"], labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.host.early.weight.grad.abs().sum() > 0 and losses[1] < losses[0]
    assert model.host.features(x).deep.shape == (2, 16, 3, 4)  # the strides of the entry: 4, 8, 4


def test_the_loss_that_is_added_has_a_gradient(added, monkeypatch):
    total_variation = added("dsrl_lib/losses/total_variation.py").total_variation
    monkeypatch.setitem(terms.TERMS, "tv", None)  # so that the entry goes when the test ends
    exec(BLOCKS["dsrl_lib/losses/terms.py"], vars(terms))
    source, end = inspect.getsource(criterion), "    return {key"
    assert source.count(end) == 1
    names = dict(criterion.__globals__, total_variation=total_variation)
    exec(source.replace(end, f"    {BLOCKS['dsrl_lib/losses/criterion.py']}{end}"), names)
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = Targets(torch.zeros(2, 8, 8, dtype=torch.uint8))
    values = names["criterion"]({"logits": logits}, targets, Loss())
    assert list(values) == ["ce", "tv"]
    assert values["ce"] == criterion({"logits": logits}, targets, Loss())["ce"]
    p = logits.softmax(1)
    by_hand = (p[:, :, 1:] - p[:, :, :-1]).abs().mean() + (p[..., 1:] - p[..., :-1]).abs().mean()
    torch.testing.assert_close(values["tv"], 0.1 * by_hand)
    (gradient,) = torch.autograd.grad(values["tv"], logits)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


@pytest.mark.parametrize("package", ["dsrl_lib", "study", "streets", "benchmarks"])
def test_the_map_names_every_part_of_a_package(package):
    (table,) = re.findall(rf"^\| `{package}`, .*\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    named = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()))
    parts = {path.stem for path in (root() / package).glob("*.py")}
    parts |= {path.parent.name for path in (root() / package).glob("*/__init__.py")}
    assert sorted(named) == sorted(parts - {"__init__", "__main__"})
