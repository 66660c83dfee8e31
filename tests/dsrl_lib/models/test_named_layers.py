"""Networks that know nothing of DSRL, wrapped by the names of three of their layers."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

from dsrl_lib import DSRL, NamedLayers

NAMES = {"low": "early", "deep": "late", "classifier": "head.predict"}


class Foreign(nn.Module):
    """Written like a network of someone else's, with a dictionary as its output."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 8, 7, 4, 3), nn.BatchNorm2d(8))
        self.late = nn.Conv2d(8, 16, 3, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.spare = nn.Conv2d(3, 3, 1)
        self.head = nn.ModuleDict({"predict": nn.Conv2d(24, 5, 1)})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        low = self.early(x)
        deep = self.late(low.relu())
        last = torch.cat((low, F.interpolate(deep * self.pool(deep), low.shape[2:])), dim=1)
        return {"out": F.interpolate(self.head["predict"](last), x.shape[2:], mode="bilinear")}


def test_its_maps_are_those_that_the_network_computes():
    network = Foreign().eval()
    host, x = NamedLayers(network, **NAMES), torch.randn(2, 3, 45, 60)
    features = host.features(x)
    low = network.early(x)
    deep = network.late(low.relu())
    torch.testing.assert_close(features.low, low)
    torch.testing.assert_close(features.deep, deep)
    torch.testing.assert_close(features.last[:, :8], low)
    assert (host.low_channels, host.deep_channels, host.last_channels, host.classes) == (8, 16, 24, 5)
    torch.testing.assert_close(host(x), network(x)["out"])


def test_a_published_network_keeps_its_logits():
    network = deeplabv3_mobilenet_v3_large(weights_backbone=None, num_classes=3).eval()
    host = NamedLayers(network, low="backbone.3", deep="backbone.16", classifier="classifier.4")
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(DSRL(host, sssr=False)(x)["logits"], network(x)["out"])
        assert DSRL(host)(x)["logits"].shape == (1, 3, 128, 192)


def test_wrapping_changes_neither_the_network_nor_the_random_numbers():
    network = Foreign()
    before, drawn = copy.deepcopy(network.state_dict()), torch.random.get_rng_state()
    NamedLayers(network, **NAMES)
    assert network.training and torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_copy_computes_with_its_own_weights():
    network = DSRL(NamedLayers(Foreign(), **NAMES), sisr=True, fa=True).eval()
    other, x = copy.deepcopy(network), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        other.host.network.early[0].weight.zero_()
        assert not torch.equal(other(x)["logits"], network(x)["logits"])
        assert other.host.features(x).low.std(dim=(2, 3)).max() == 0 < network.host.features(x).low.std()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"deep": "lat"}, "deep = 'lat'; allowed: .* such as late"),
        ({"classifier": "head"}, "classifier = 'head' is of type ModuleDict; allowed: an nn.Conv2d"),
        ({"low": "spare"}, r"low = 'spare'; allowed: a layer that the network calls with \(B, C, h, w\) maps"),
        ({"low": ""}, r"low = ''; allowed: a layer that the network calls with"),
    ],
)
def test_what_cannot_be_taken_is_named(names, message):
    with pytest.raises(ValueError, match=message):
        NamedLayers(Foreign(), **NAMES | names)
