"""Hosts against reference tensors that were computed with the original implementations."""

import zlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from dsrl_lib import paths
from dsrl_lib.models.build import build_host
from dsrl_lib.models.hosts.aligned_xception import AlignedXception
from dsrl_lib.models.hosts.ddrnet import ddrnet
from dsrl_lib.models.hosts.deepwv3plus import DeepWV3Plus
from dsrl_lib.models.hosts.drn import DRN

GOLDEN = paths.root() / "tests" / "golden"
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def golden(name):
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def espnetv2_weights(name):
    path = paths.weights_dir() / "espnetv2" / name
    if not path.is_file():
        pytest.skip(f"published weights {path} absent; set DSRL_WEIGHTS")
    return path


@pytest.fixture(scope="module")
def camvid_input():
    rgb = torch.from_numpy(golden("camvid_val_0016E5_07959_rgb")["rgb"]).permute(2, 0, 1)[None] / 255
    small = F.interpolate(rgb, (256, 512), mode="bilinear", antialias=True, align_corners=False)
    return (small - MEAN[:, None, None]) / STD[:, None, None]


@pytest.mark.parametrize("scale", ["0.5", "2.0"])
def test_espnetv2_reproduces_published_outputs(scale, camvid_input):
    reference = golden(f"espnetv2_s{scale}_city_1024x512")
    weights = espnetv2_weights(str(reference["checkpoint"]))
    host = build_host(f"espnetv2_s{scale}", 20, weights).eval()
    inner = {}
    for name in reference["inner_names"]:
        host.get_submodule(name).register_forward_hook(lambda *args, name=name: inner.update({name: args[2]}))
    with torch.no_grad():
        logits = host(camvid_input)[0].numpy()
    np.testing.assert_allclose(camvid_input[0, :, ::8, ::8].numpy(), reference["input_sub8"], atol=1e-5)
    known = {name: of for name, *of in zip(*(reference[f"inner_{k}"] for k in ("names", "mean", "std")), strict=True)}
    assert known.keys() - inner.keys() == {"bu_dec_l4"}  # which is entered by its two parts, not called
    for name, found in inner.items():
        assert [found.mean(), found.std()] == pytest.approx(known[name], abs=1e-4), name
        np.testing.assert_allclose(found[0, :8, :8, :8], reference[f"corner__{name}"], atol=1e-3)
    np.testing.assert_allclose(logits[:, ::4, ::4], reference["logits_sub4"], atol=1e-3)
    np.testing.assert_allclose(logits.mean((1, 2)), reference["logits_mean"], atol=1e-3)
    assert (logits.argmax(0) != reference["argmax"]).sum() <= reference["margin_lt_1e3"]


@pytest.mark.parametrize("scale", ["0.5", "1.0", "1.5", "2.0"])
def test_every_published_espnetv2_file_fits(scale):
    rows = (10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18)
    for size in ("512x256", "1024x512"):
        weights = espnetv2_weights(f"espnetv2_s_{scale}_city_{size}.pth")
        published = build_host(f"espnetv2_s{scale}", 20, weights).eval()
        chosen = build_host(f"espnetv2_s{scale}", 11, weights, rows=rows).eval()
        x = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            torch.testing.assert_close(chosen(x), published(x)[:, rows], atol=1e-5, rtol=1e-5)


def fill_by_name(network):
    """Every tensor of the state dict from a hash of its name, as the reference networks were filled."""
    state = network.state_dict()
    for key, tensor in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        x = np.arange(tensor.numel(), dtype=np.uint32) + np.uint32(zlib.crc32(key.encode()))
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
        v = 2 * (x ^ (x >> np.uint32(16))).astype(np.float64) / 2**32 - 1
        if key.endswith("running_var"):
            v = 1 + 0.5 * v
        elif key.endswith("running_mean"):
            v = 0.2 * v
        elif tensor.ndim >= 2:
            v = v * np.sqrt(3 / (tensor.numel() / tensor.shape[0]))
        elif key.endswith("bias"):
            v = 0.2 * v
        else:
            v = 1 + 0.3 * v
        tensor.copy_(torch.from_numpy(v).view(tensor.shape))
    return network


def wave_input(height, width):
    c, i, j = np.meshgrid(np.arange(3.0), np.arange(float(height)), np.arange(float(width)), indexing="ij")
    x = np.sin(0.11 * (c + 1) * i + 0.3) * np.cos(0.07 * j + 0.5 * c)
    x = x + 0.5 * np.sin(0.9 * i + 1.1 * j + c) + 0.01 * (i - j) * (c - 1)
    return torch.from_numpy(x.astype(np.float32))[None]


@pytest.mark.parametrize("variant", ["23_slim", "23", "39", "23_slim_large"])
def test_ddrnet_reproduces_official_graph(variant):
    size = (384, 768) if variant.endswith("_large") else (128, 256)
    variant = variant.removesuffix("_large")
    reference = golden(f"ddrnet_{variant}_fill0_{size[0]}x{size[1]}")
    host = fill_by_name(ddrnet(f"ddrnet{variant}", 19, aux=True)).eval()
    with torch.no_grad():
        features = host.features(wave_input(*size))
        main = host.classify(features.last)[0].numpy()
    for own, name in ((main, "main"), (features.aux[0].numpy(), "aux")):
        np.testing.assert_allclose(own, reference[name], rtol=0, atol=1e-4 * reference[name].std())


def macs(host, *size):
    """Multiply-accumulates of a host whose shapes alone are computed."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        host.eval()(torch.empty(1, 3, *size, device="meta"))
    return counter.get_total_flops() / 2


# Parameters with and without auxiliary head, entries of the state dict with it, and 10^9 MACs without it at 1024x2048.
@pytest.mark.parametrize(
    ("variant", "with_aux", "without", "entries", "giga"),
    [
        ("ddrnet23_slim", 5_734_342, 5_695_987, 346, 36.28),
        ("ddrnet23", 20_299_366, 20_148_947, 346, 143.06),
        ("ddrnet39", 32_660_838, 32_360_275, 514, 281.12),
    ],
)
def test_ddrnet_sizes(variant, with_aux, without, entries, giga):
    with torch.device("meta"):
        host, plain = ddrnet(variant, aux=True), ddrnet(variant)
    assert sum(p.numel() for p in host.parameters()) == with_aux
    assert sum(p.numel() for p in plain.parameters()) == without
    assert len(host.state_dict()) == entries
    assert macs(plain, 1024, 2048) / 1e9 == pytest.approx(giga, abs=0.005)


def assert_golden(own, reference):
    np.testing.assert_allclose(own[0].numpy(), reference, rtol=0, atol=1e-4 * reference.std())


BACKBONES = {
    "drn_d_54": DRN,
    "aligned_xception_os16": lambda: AlignedXception(16),
    "aligned_xception_os8": lambda: AlignedXception(8),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_reproduce_the_earlier_systems(name):
    reference = golden(f"{name}_fill0_64x128")
    backbone = fill_by_name(BACKBONES[name]()).eval()
    with torch.no_grad():
        low, out = backbone(wave_input(64, 128))
    assert (low.shape[1], out.shape[1]) == backbone.channels
    assert_golden(low, reference["low"])
    assert_golden(out, reference["out"])


@pytest.mark.parametrize(
    ("name", "parameters", "entries"), [("drn_d_54", 35_296_176, 342), ("aligned_xception_os16", 37_867_312, 792)]
)
def test_backbone_sizes(name, parameters, entries):
    with torch.device("meta"):
        backbone = BACKBONES[name]()
    assert sum(p.numel() for p in backbone.parameters()) == parameters
    assert len(backbone.state_dict()) == entries


def test_deepwv3plus_reproduces_the_network_of_label_relaxation():
    reference = golden("deepwv3plus_fill0_64x128")
    host = fill_by_name(DeepWV3Plus(19)).eval()
    class_maps = []
    host.final[-1].register_forward_hook(lambda *args: class_maps.append(args[2]))
    with torch.no_grad():
        logits = host(wave_input(64, 128))
    assert_golden(class_maps[0], reference["final"])
    assert_golden(logits[:, :, ::4, ::4], reference["out_sub4"])


def test_deepwv3plus_sizes():
    with torch.device("meta"):
        host = DeepWV3Plus(19)
    assert sum(p.numel() for p in host.parameters()) == 137_103_936
    assert sum(p.numel() for name, p in host.named_parameters() if name.startswith("mod")) == 105_062_720
    assert len(host.state_dict()) == 268
    assert macs(host, 256, 512) / 1e9 == pytest.approx(364, abs=0.5)


@pytest.mark.parametrize(
    ("scale", "parameters", "exact"),
    [
        ("0.5", 80_342, 149_069_802),
        ("1.0", 234_010, 271_333_354),
        ("1.5", 468_362, 428_330_474),
        ("2.0", 789_242, 674_456_554),
    ],
)
def test_espnetv2_sizes(scale, parameters, exact):
    with torch.device("meta"):
        host = build_host(f"espnetv2_s{scale}", 20)
    assert sum(p.numel() for p in host.parameters()) == parameters
    assert len(host.state_dict()) == 526
    assert macs(host, 256, 512) == exact
