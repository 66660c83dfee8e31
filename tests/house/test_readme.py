"""The examples and pictures of README.md are what they say."""

import re

import torch

from dsrl_lib.paths import root

README = (root() / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_a_network_of_your_own_trains_and_is_pruned():
    (block,) = (block for block in BLOCKS if "NamedLayers" in block)
    assert len([line for line in block.splitlines() if line]) <= 13
    names: dict = {}
    torch.manual_seed(0)
    exec(compile(block, "README.md", "exec"), names)
    assert set(names["terms"]) == {"ce", "mse", "fa"}
    network, small, x = names["network"], names["small"], names["x"]
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(module.training for module in network.modules())  # `small` is a copy: the network can train on
    with torch.no_grad():
        assert torch.equal(network.eval()(x)["logits"], small(x)["logits"])
    assert list(small(x)) == ["logits"]


def test_pictures_are_small_and_described():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert len(pictures) >= 3
    for text, path in pictures:
        assert len(text) > 40, path
        assert not re.search(r"\d\.\d", text), "a number in a description is not kept up to date"
        assert (root() / path).stat().st_size < 200_000
