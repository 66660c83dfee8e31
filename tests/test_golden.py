"""Hosts against reference tensors that were computed with the original implementations."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dsrl_lib import paths
from dsrl_lib.models.hosts import build_host

GOLDEN = Path(__file__).parent / "golden"
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
    for name, mean, std in zip(*(reference[f"inner_{k}"] for k in ("names", "mean", "std")), strict=True):
        if name in inner:  # bu_dec_l4 is entered by its two parts, not called
            assert [inner[name].mean(), inner[name].std()] == pytest.approx([mean, std], abs=1e-4), name
            np.testing.assert_allclose(inner[name][0, :8, :8, :8], reference[f"corner__{name}"], atol=1e-3)
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
