"""What single hosts have of their own, and weights that are loaded strictly; test_registry_hosts checks every host."""

import numpy as np
import pytest
import torch
from torch import nn

from dsrl_lib.models.build import build_host, load_strictly, read_state_dict
from dsrl_lib.models.hosts.ddrnet import ddrnet
from dsrl_lib.models.hosts.deeplabv3plus import DeepLabV3Plus
from dsrl_lib.models.hosts.deepwv3plus import DeepWV3Plus
from dsrl_lib.models.hosts.espnetv2 import ESPNetv2, ShuffledConv2d


def strides(maps, x):
    return [round(x.shape[2] / m.shape[2]) for m in maps]


def test_ddrnet_auxiliary_head_is_trained():
    host = ddrnet("ddrnet23_slim", 11, aux=True).train()
    features = host.features(torch.randn(2, 3, 64, 64))
    assert features.aux.shape == (2, 11, 8, 8)
    features.aux.sum().backward()
    assert host.seghead_extra.conv1.weight.grad.abs().sum() > 0
    host.set_classes(4)
    assert host.features(torch.randn(2, 3, 64, 64)).aux.shape[1] == 4


@pytest.mark.parametrize("backbone", ["resnet18", "xception"])
def test_deeplab_output_stride_8(backbone):
    host = DeepLabV3Plus(backbone, 3, output_stride=8).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert strides(host.features(x)[:3], x) == [4, 8, 4]


@pytest.mark.parametrize(("output_stride", "rates"), [(16, (6, 12, 18)), (8, (12, 24, 36))])
def test_deeplab_has_the_rates_of_its_paper_and_the_dropout_of_the_common_implementation(output_stride, rates):
    host = DeepLabV3Plus("resnet18", 3, output_stride=output_stride)
    assert [branch[0].dilation for branch in host.aspp.branches] == [(1, 1), *((rate, rate) for rate in rates)]
    assert [module.p for module in host.modules() if isinstance(module, nn.Dropout)] == [0.5, 0.5, 0.1]


def test_deepwv3plus_drops_channels_of_its_last_two_blocks():
    with torch.device("meta"):
        shares = {name: m.p for name, m in DeepWV3Plus(3).named_modules() if isinstance(m, nn.Dropout2d) and m.p}
    assert shares == {"mod6.block1.convs.dropout": 0.3, "mod7.block1.convs.dropout": 0.5}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "slim.pth"
    torch.save({f"model.{k}": v for k, v in ddrnet("ddrnet23_slim", 19, aux=True).state_dict().items()}, path)
    return path


def test_wrapped_ddrnet_file_loads_with_chosen_rows(saved, tmp_path):
    state = torch.load(saved, weights_only=True)
    torch.save({**state, "loss.weight": torch.ones(1)}, tmp_path / "wrapped.pth")
    host = build_host("ddrnet23_slim", 2, tmp_path / "wrapped.pth", rows=(5, 0))
    published = state["model.final_layer.conv2.weight"]
    torch.testing.assert_close(host.final_layer.conv2.weight, published[[5, 0]], rtol=0, atol=0)
    torch.testing.assert_close(host.conv1[0].weight, state["model.conv1.0.weight"], rtol=0, atol=0)
    fresh = build_host("ddrnet23_slim", 2, tmp_path / "wrapped.pth")
    assert not torch.equal(fresh.final_layer.conv2.weight, host.final_layer.conv2.weight)


@pytest.mark.parametrize("numpy_name", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_checkpoint_of_a_training_script_loads(saved, tmp_path, numpy_name):
    state = {key.replace("model.", "module.", 1): value for key, value in torch.load(saved).items()}
    extra = {"epoch": 3, "mean_iu": np.float64(0.8), "optimizer": {"state": {}}, "command": "--lr 0.1"}
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": state, **extra}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", numpy_name))
    assert read_state_dict(path).keys() == state.keys()
    host = build_host("ddrnet23_slim", 19, path)
    torch.testing.assert_close(host.conv1[0].weight, state["module.conv1.0.weight"], rtol=0, atol=0)


def test_published_names_of_deepwv3plus_fit():
    with torch.device("meta"):
        host = DeepWV3Plus(3)
    published = {f"module.{key}": value for key, value in host.state_dict().items()}
    load_strictly(host, published, "file")
    del published["module.mod2.block1.bn1.0.weight"]
    with pytest.raises(ValueError, match=r"missing mod2\.block1\.bn1\.0\.weight$"):
        load_strictly(host, published, "file")


def test_state_dict_that_does_not_fit_is_described(saved, tmp_path):
    state = torch.load(saved, weights_only=True)
    del state["model.conv1.0.bias"]
    state["model.novel"] = torch.zeros(1)
    state["model.conv1.1.weight"] = torch.zeros(7)
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(ValueError) as error:
        build_host("ddrnet23_slim", 19, tmp_path / "broken.pth")
    for part in ("missing conv1.0.bias", "unexpected novel", "conv1.1.weight: (7,) instead of (32,)"):
        assert part in str(error.value)


def test_bad_requests_name_what_is_allowed(saved):
    with pytest.raises(ValueError, match=r"'vgg'.*espnetv2_s0\.5, .*ddrnet39"):
        build_host("vgg", 11)
    with pytest.raises(ValueError, match=r"rows \(0, 19\): need 2 indices from 0 to 18"):
        build_host("ddrnet23_slim", 2, saved, rows=(0, 19))
    with pytest.raises(ValueError, match="need 2 indices"):
        build_host("ddrnet23_slim", 2, saved, rows=(0,))
    with pytest.raises(ValueError, match=r"output_stride 16 of backbone 'drn_d_54'; allowed: 8$"):
        DeepLabV3Plus("drn_d_54", 2, output_stride=16)
    with pytest.raises(ValueError, match=r"output_stride 4 of backbone 'xception'; allowed: 16, 8$"):
        DeepLabV3Plus("xception", 2, output_stride=4)
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        build_host("ddrnet23_slim", 2, "absent.pth")


def test_espnetv2_keeps_inner_widths_with_other_classes():
    own, published = build_host("espnetv2_s0.5", 11).state_dict(), ESPNetv2(0.5).state_dict()
    other = {name for name in own if own[name].shape != published[name].shape}
    assert other == {"bu_dec_l4.merge_layer.3.weight", "bu_dec_l4.merge_layer.3.bias"}


def test_shuffled_convolution_is_shuffle_then_groups():
    torch.manual_seed(0)
    layer, x = ShuffledConv2d(), torch.randn(2, 50, 6, 7)
    shuffled = torch.stack([x[:, 10 * k + i] for i in range(10) for k in range(5)], 1)
    expected = nn.functional.conv2d(shuffled, layer.weight, padding=1, groups=10)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
