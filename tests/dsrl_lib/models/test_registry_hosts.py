"""Every host of the registry: any size, its strides, gradients, other classes, folded, saved, pruned."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from dsrl_lib import network
from dsrl_lib.config import Config, Data, Model
from dsrl_lib.models.build import build_host
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.folding import fold_batch_norms
from dsrl_lib.registry import HOSTS, Host, named

# Parameters that no input reaches, by constructor: a strided EESP unit of the published ESPNetv2 owns this activation
# and never applies it.
UNUSED = {"ESPNetv2": {f"base_net.level{i}_0.eesp.module_act.weight" for i in (2, 3, 4)}}
# Batch norms that stay when the others are folded: in DeepWV3Plus the first of a block reads a sum or a pooled map, so
# there is no one convolution before it.
UNFOLDED = {"DeepWV3Plus": "bn1.0"}
ODD_SIZES = ((17, 33), (45, 60))


@pytest.fixture(scope="module", params=HOSTS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def host(name):
    torch.manual_seed(0)
    return build_host(name, 11)


@pytest.mark.parametrize("size", ODD_SIZES)
def test_a_host_takes_any_size(host, size):
    x = torch.randn(2, 3, *size)
    host.eval()
    with torch.no_grad():
        features, logits = host.features(x), host(x)
        class_map = host.classify(features.last)
    assert logits.shape == (2, 11, *size) and logits.isfinite().all()
    channels = [m.shape[1] for m in features[:3]]
    assert channels == [host.low_channels, host.deep_channels, host.last_channels]
    assert class_map.shape == (2, host.classes, *features.last.shape[2:])
    resized = nn.functional.interpolate(class_map, size, mode="bilinear", align_corners=host.align_corners)
    torch.testing.assert_close(resized, logits)
    assert features.low.shape[2:] == tuple(-(-side // 4) for side in size)


def test_a_host_has_the_strides_of_its_entry(name, host):
    x = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        maps = host.eval().features(x)[:3]
    assert tuple(round(x.shape[2] / m.shape[2]) for m in maps) == HOSTS[name].strides


def test_training_reaches_every_parameter_of_a_host(host):
    torch.manual_seed(1)
    host.train().zero_grad()
    features = host.features(torch.randn(2, 3, 33, 65))
    every = [logits for logits in (host.classify(features.last), features.aux) if logits is not None]
    sum(logits.square().mean() for logits in every).backward()
    assert all(logits.isfinite().all() for logits in every)
    without = {name for name, p in host.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert without == UNUSED.get(type(host).__name__, set())
    assert {name for name, p in host.named_parameters() if not p.requires_grad} == without
    host.zero_grad()


def test_a_host_trains_with_its_smallest_batch_and_no_smaller(name, host):
    least = HOSTS[name].least_batch
    with torch.no_grad():
        assert host.train()(torch.randn(least, 3, 33, 65)).isfinite().all()
        if least > 1:
            with pytest.raises(ValueError, match="more than 1 value per channel"):
                host(torch.randn(least - 1, 3, 33, 65))


def test_other_classes_of_a_host_are_the_chosen_rows(host):
    x = torch.randn(1, 3, 33, 49)
    with torch.no_grad():
        before = host.eval()(x)
        host.set_classes(11, rows=range(10, -1, -1))
        # as close as the blocks of a matrix product in another order
        torch.testing.assert_close(host(x), before.flip(1), rtol=0, atol=1e-4 * before.abs().max().item())
        host.set_classes(11, rows=range(10, -1, -1))
        torch.testing.assert_close(host(x), before, rtol=0, atol=1e-4 * before.abs().max().item())


def test_folding_keeps_the_logits_of_a_host(host):
    folded = copy.deepcopy(host).eval()
    torch.manual_seed(2)
    for module in folded.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 3, 33, 49)
    with torch.no_grad():
        before = folded(x)
        assert fold_batch_norms(folded) > 0
        torch.testing.assert_close(folded(x), before, rtol=0, atol=1e-4 * before.abs().max().item())
    # with gradients on, some layers of a host have another way
    torch.testing.assert_close(folded(x), before, rtol=0, atol=1e-4 * before.abs().max().item())
    if kept := UNFOLDED.get(type(host).__name__):
        left = {name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)}
        assert left == {name for name, _ in host.named_modules() if name.endswith(kept)}


def test_a_batch_norm_after_an_activation_in_place_is_not_folded():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(4)).eval()
    assert fold_batch_norms(network) == 0 and isinstance(network[2], nn.BatchNorm2d)
    assert fold_batch_norms(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()) == 1


def test_saved_and_pruned_networks_give_the_same_logits(name, tmp_path):
    config = Config(data=Data("camvid"), model=Model(name, sssr=True, sisr=True, fa=True))
    built = network.build(config).eval()
    x = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        logits = built(x)["logits"]
        network.save(built, config, tmp_path / "final.safetensors")
        loaded, found = network.load(tmp_path / "final.safetensors")
        assert found == config and torch.equal(loaded.eval()(x)["logits"], logits)
        assert torch.equal(built.prune()(x)["logits"], logits)


@pytest.mark.parametrize("size", [(17, 33), (32, 48)])
def test_a_residual_branch_on_finer_taps_keeps_the_pruned_logits(host, size):
    x = torch.randn(2, 3, *size)
    early = getattr(host, "early_channels", None)
    for taps in ("input", "stride2"):
        if taps == "stride2" and early is None:
            with pytest.raises(ValueError, match=r"sisr_taps = 'stride2', but this host .*; allowed: deep, input"):
                DSRL(host, sisr=True, sisr_taps=taps)
            continue
        built = DSRL(host, sisr=True, fa=True, sisr_taps=taps, sisr_residual=True, sisr_decoder="edsr").eval()
        torch.nn.init.normal_(built.sisr.predict.weight, std=0.1)
        with torch.no_grad():
            full, pruned = built(x), built.prune()(x)
        assert full["image"].shape == (2, 3, 2 * size[0], 2 * size[1])
        assert full["sr_map"].shape[1] == 32 and torch.equal(full["logits"], pruned["logits"])
    if early is not None:
        with torch.no_grad():
            assert host.features(x).early.shape == (2, early, *(-(-side // 2) for side in size))


def test_every_host_builds_and_states_its_public_weights():
    with torch.device("meta"):
        for name, entry in HOSTS.items():
            assert build_host(name, 7).classes == 7
            assert named(entry.constructor)(*entry.arguments, entry.outputs).classes == entry.outputs
    for name, entry in HOSTS.items():
        assert set(entry.speed) == {"cpu", "cuda"} and min(*entry.speed.values(), entry.memory) > 0, name
        for weights in entry.weights.values():
            height, width = weights.input
            assert height > 0 and width > 0
            if weights.package is None:
                assert f"{width}x{height}" in weights.file and weights.url.endswith(Path(weights.file).name)
            assert len(weights.sha256) == 64


def test_a_host_that_is_added_can_be_named_and_another_is_refused(monkeypatch):
    monkeypatch.setitem(HOSTS, "small", Host("dsrl_lib.models.hosts.espnetv2:ESPNetv2", (0.5,), (4, 16, 2)))
    assert Config(model=Model("small")).run_id.startswith("smoke-small-")
    assert build_host("small", 3).classes == 3
    with pytest.raises(ValueError, match=r"model\.host = 'espnetv2_s10'; allowed: .*\(did you mean espnetv2_s1\.0\?\)"):
        Model("espnetv2_s10")
