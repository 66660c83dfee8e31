"""Networks that know nothing of DSRL, wrapped by the names of three of their layers."""

import copy
import threading

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
        self.act = nn.ReLU()
        self.head = nn.ModuleDict({"predict": nn.Conv2d(24, 5, 1)})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        low = self.early(x)
        deep = self.late(self.act(low))
        last = torch.cat((low, F.interpolate(self.act(deep) * self.pool(deep), low.shape[2:])), dim=1)
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


def test_wrapping_leaves_frozen_batch_norms_frozen():
    network = Foreign()
    network.early[1].eval()
    NamedLayers(network, **NAMES)
    assert [name for name, module in network.named_modules() if not module.training] == ["early.1"]


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
        ({"low": "act"}, "low = 'act', which the network calls 2 times; allowed: a layer that it calls once"),
    ],
)
def test_what_cannot_be_taken_is_named(names, message):
    with pytest.raises(ValueError, match=message):
        NamedLayers(Foreign(), **NAMES | names)


class Turned(nn.Module):
    """Maps (B, h, w, C), as Swin has them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.turn = nn.Conv2d(3, 96, 4, 4), nn.Identity()
        self.predict = nn.Conv2d(96, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.predict(self.turn(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


class Finer(nn.Module):
    """Without a map at stride 4 but the last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.predict = nn.Conv2d(8, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.predict(self.second(self.first(x)))


@pytest.mark.parametrize(
    ("network", "names", "message"),
    [
        (
            Finer,
            {"low": "first", "deep": "second"},
            r"low = 'first' gives \(1, 8, 32, 32\) .* at stride 4, .* of second",
        ),
        (
            Finer,
            {"low": "second", "deep": "first"},
            r"deep = 'first' gives .* at stride 4 to 64, .* of second, predict$",
        ),
        (Turned, {"low": "turn", "deep": "stem"}, r"low = 'turn' gives \(1, 16, 16, 96\) .*, such as those of stem"),
    ],
)
def test_maps_at_another_stride_are_refused_with_layers_that_fit(network, names, message):
    with pytest.raises(ValueError, match=message):
        NamedLayers(network(), **names, classifier="predict")


def test_strides_are_right_where_borders_are_lost():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3, 2), nn.Conv2d(8, 16, 3, 2), nn.Conv2d(16, 5, 1))
    assert NamedLayers(network, low="1", deep="2", classifier="3", size=(75, 101)).low_channels == 8


class Waiting(Foreign):
    """It ends when each of two threads has passed its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier: threading.Barrier | None = None

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        out = super().forward(x)
        if self.barrier is not None:
            self.barrier.wait(timeout=60)
        return out


def test_threads_that_share_a_network_get_the_logits_of_their_own_images():
    host = NamedLayers(Waiting().eval(), **NAMES)
    images = [torch.randn(1, 3, 32, 32) for _ in range(2)]
    expected, found = [host(x) for x in images], {}
    host.network.barrier = threading.Barrier(2)
    threads = [threading.Thread(target=lambda k=k: found.update({k: host(images[k])})) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not torch.equal(*expected)
    assert all(torch.equal(found[k], expected[k]) for k in range(2))


def test_two_wrappers_of_one_network_see_their_own_layers():
    network, x = Foreign().eval(), torch.randn(1, 3, 32, 32)
    first = NamedLayers(network, **NAMES)
    second = NamedLayers(network, **NAMES | {"deep": "early"})
    assert torch.equal(first.features(x).deep, network.late(network.early(x).relu()))
    assert torch.equal(second.features(x).deep, network.early(x))


class Named(nn.Module):
    """It gives its prediction layer the map by the name of the argument."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.predict = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.predict(input=self.early(x))


def test_a_map_given_by_name_is_found():
    network, x = Named(), torch.randn(1, 3, 32, 32)
    host = NamedLayers(network, low="early", deep="early", classifier="predict")
    assert torch.equal(host.features(x).last, network.early(x))


def test_a_network_in_bfloat16_is_taken():
    host = NamedLayers(Named().bfloat16(), low="early", deep="early", classifier="predict")
    assert host.features(torch.randn(1, 3, 32, 32, dtype=torch.bfloat16)).low.dtype == torch.bfloat16


def test_a_network_that_is_no_host_is_told_how_to_become_one():
    with pytest.raises(ValueError, match=r"host = a Foreign, which has no classes; allowed: .* NamedLayers\(network"):
        DSRL(Foreign())


def test_one_logit_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 1, 1))
    with pytest.raises(ValueError, match="classifier = '1' has one output channel; allowed: one per class, from 2 on"):
        NamedLayers(network, low="0", deep="0", classifier="1")


@pytest.mark.parametrize("size", [64, (64,), (0, 64), (64.0, 64)])
def test_a_size_that_is_no_height_and_width_is_refused(size):
    with pytest.raises(ValueError, match=r"size = .*; allowed: height and width, two whole numbers above 0"):
        NamedLayers(Foreign(), **NAMES, size=size)


def test_an_image_that_the_network_refuses_is_named_and_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 8, 4, 4), nn.Conv2d(8, 2, 1))
    with pytest.raises(RuntimeError) as caught:
        NamedLayers(network, low="0", deep="0", classifier="1")
    assert caught.value.__notes__ == ["NamedLayers gave the network a black RGB image of 64x64; `size` sets another"]
    assert network.training and not any(layer._forward_hooks for layer in network.modules())
