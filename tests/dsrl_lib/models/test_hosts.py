"""Every host keeps the common interface, at any input size, and loads weights strictly."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dsrl_lib.device import autocast
from dsrl_lib.models.build import build_host, load_strictly, read_state_dict
from dsrl_lib.models.cpu_gradients import BatchNormPReLU, DepthwiseConv2d, PReLU
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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 3])
def test_depthwise_convolution_matches_the_native_one(stride, dilation):
    torch.manual_seed(0)
    own = DepthwiseConv2d(3, stride, dilation).double()
    native = nn.Conv2d(3, 3, 3, stride, dilation, dilation, 3, bias=False).double()
    native.load_state_dict(own.state_dict())
    assert_same_gradients(own, native, torch.randn(2, 3, 9, 14, dtype=torch.double))


def test_prelu_matches_the_native_one():
    x = torch.randn(2, 3, 5, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0] = 0
    assert_same_gradients(PReLU(3).double(), nn.PReLU(3).double(), x)


@pytest.mark.parametrize("channels", [1, 11, 19])
def test_prelu_of_a_class_map_has_the_bits_of_pytorch(channels):
    torch.manual_seed(0)
    x = torch.randn(2, channels, 31, 29).bfloat16().contiguous(memory_format=torch.channels_last)
    flow = torch.randn_like(x)
    x[0, :, 0], act = 0, PReLU(channels)
    with torch.no_grad():
        act.weight.uniform_(-1, 2)
    x.requires_grad_()
    y, slope = act(x), act.weight.detach().bfloat16()
    assert y.grad_fn.name() == "_PReLUBackward" and torch.equal(y, F.prelu(x, slope))
    grad_x, grad_slope = torch.autograd.grad(y, (x, act.weight), flow)
    wide, above = x.detach().float(), flow.float()
    positive = wide > 0
    assert torch.equal(grad_x, torch.where(positive, above, above * act.weight.detach()[:, None, None]).bfloat16())
    # In blocks of 256 pixels, one after the other in float32, as before there were kernels for a few channels.
    terms = torch.where(positive, 0, wide * above).permute(0, 2, 3, 1).reshape(-1, channels)
    blocks = [block.cumsum(0)[-1].double() for block in terms.split(256)]
    torch.testing.assert_close(grad_slope, sum(blocks).float(), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.double, torch.float, torch.bfloat16])
def test_batch_norm_with_prelu_matches_the_native_layers(dtype):
    torch.manual_seed(0)
    native = nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.PReLU(6))
    own = BatchNormPReLU(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), PReLU(6))
    with torch.no_grad():
        native[1].weight.uniform_(-1, 2)
        native[1].bias.uniform_(-1, 1)
        native[2].weight.uniform_(-0.5, 1)
        native[1].running_mean.uniform_(-9, 9)
    own.load_state_dict(native.state_dict())
    if dtype == torch.double:
        own, native = own.double(), native.double()
    x = 3 + torch.randn(2, 3, 33, 17, dtype=own[0].weight.dtype)
    got = []
    for module in (own, native):
        inputs = x.clone().requires_grad_()
        with autocast(inputs.device, "bf16" if dtype == torch.bfloat16 else "fp32"):
            y = module.train()(inputs)
        y.backward(torch.linspace(-1, 1, y.numel()).view_as(y).to(y.dtype))
        statistics = (module[1].running_mean, module[1].running_var, module[1].num_batches_tracked)
        got.append((y, inputs.grad, *(p.grad for p in module.parameters()), *statistics))
    tolerance = {torch.double: 1e-10, torch.float: 1e-3, torch.bfloat16: 0.2}[dtype]
    for ours, theirs in zip(*got, strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * theirs.abs().max().item())
    assert torch.equal(own.eval()(x), native.load_state_dict(own.state_dict()) and native.eval()(x))


def assert_same_gradients(own, native, x):
    results = []
    for module in (own, native):
        inputs = x.clone().requires_grad_()
        y = module(inputs)
        gradients = torch.autograd.grad(y, (inputs, module.weight), torch.linspace(-1, 1, y.numel()).view_as(y))
        results.append((y, *gradients))
    torch.testing.assert_close(*results)


def test_custom_gradients_follow_autocast():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 9, 12)
    for own, native in (
        (DepthwiseConv2d(8, 2, 2), nn.Conv2d(8, 8, 3, 2, 2, 2, 8, bias=False)),
        (PReLU(8), nn.PReLU(8)),
    ):
        native.load_state_dict(own.state_dict())
        with torch.autocast("cpu", torch.bfloat16):
            pair = [module(x) for module in (own, native)]
        assert pair[0].dtype == pair[1].dtype
        for y in pair:
            y.float().square().sum().backward()
        assert own.weight.grad.dtype == torch.float32
        torch.testing.assert_close(own.weight.grad, native.weight.grad, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("whole", [True, False])
def test_layers_train_in_types_that_no_kernel_knows(half, whole):
    """Whole: the network itself is in half precision; else it computes in it under autocast."""
    own = nn.Sequential(
        BatchNormPReLU(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), PReLU(6)), DepthwiseConv2d(6, 2), PReLU(6)
    )
    native = nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.PReLU(6), nn.Conv2d(6, 6, 3, 2, 1, 1, 6, bias=False), nn.PReLU(6)
    )
    native.load_state_dict(dict(zip(native.state_dict(), own.state_dict().values(), strict=True)))
    gradients = []
    for network in (own, native):
        x = torch.linspace(-2, 2, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8).to(half if whole else torch.float32)
        with torch.autocast("cpu", half, enabled=not whole):
            loss = network.to(half if whole else torch.float32)(x).float().square().mean()
        gradients.append(torch.autograd.grad(loss, list(network.parameters())))
    for ours, theirs in zip(*gradients, strict=True):
        assert ours.isfinite().all() and torch.allclose(ours, theirs, rtol=0.05, atol=0.02)


def test_shuffled_convolution_is_shuffle_then_groups():
    torch.manual_seed(0)
    layer, x = ShuffledConv2d(), torch.randn(2, 50, 6, 7)
    shuffled = torch.stack([x[:, 10 * k + i] for i in range(10) for k in range(5)], 1)
    expected = nn.functional.conv2d(shuffled, layer.weight, padding=1, groups=10)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
