"""A SISR branch that learns detail: it starts as bicubic upsampling, sees finer maps, and can warm up alone."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from dsrl_lib import network
from dsrl_lib.data.split import load_split
from dsrl_lib.models.build import build_host
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.sisr import SISRHead, _fold
from dsrl_lib.records import read_json
from dsrl_lib.training.batches import batches, training_set
from dsrl_lib.training.fit import fit
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.state import RunState
from study.presets import preset

TINY = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.epochs=2",
        "optim.precision=fp32")  # fmt: skip
CPU = torch.device("cpu")


def stage_2(*overrides: str):
    """Stage 2 from no other run."""
    return replace(preset("smoke", "sssr_sisr", overrides=(*TINY, *overrides)), warm_start=None)


@pytest.mark.parametrize("size", [(37, 51), (32, 48)])
def test_a_residual_branch_starts_as_bicubic_upsampling(size):
    x = torch.randn(1, 3, *size)
    model = DSRL(build_host("espnetv2_s0.5", 5), sisr=True, sisr_residual=True, sisr_taps="input").eval()
    with torch.no_grad():
        expected = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        torch.testing.assert_close(model(x)["image"], expected, rtol=0, atol=1e-6)


def test_the_head_of_old_runs_has_the_same_parameters_and_start():
    torch.manual_seed(0)
    old = [(32, 7, 1, 1), (32, 9, 1, 1), (64, 64, 3, 3), (32, 64, 3, 3), (192, 32, 3, 3)]
    head = SISRHead(7, 9)
    kernels = {name: p for name, p in head.named_parameters() if p.dim() == 4}
    assert [tuple(p.shape) for p in kernels.values()] == old
    assert list(kernels) == ["low.0.weight", "deep.0.weight", "body.0.0.weight", "body.1.0.weight", "predict.weight"]
    assert kernels["predict.weight"].std().item() == pytest.approx(1e-2, rel=0.05)


@pytest.mark.parametrize(("size", "r"), [((8, 12), 4), ((5, 7), 2), ((9, 10), 4)])
def test_folding_loses_no_pixel(size, r):
    x = torch.randn(2, 3, *size)
    coarse = tuple(-(-side // r) for side in size)
    folded = _fold(x, r, coarse)
    assert folded.shape == (2, 3 * r * r, *coarse)
    assert torch.equal(F.pixel_shuffle(folded, r)[..., : size[0], : size[1]], x)


def test_a_block_of_edsr_adds_a_tenth_of_its_convolutions():
    torch.manual_seed(0)
    block, x = SISRHead(3, 3, decoder="edsr").body[1], torch.randn(1, 64, 5, 6)
    first, _, second = block.convs
    inner = F.conv2d(x, first.weight, first.bias, padding=1).clamp(min=0)
    torch.testing.assert_close(block(x), x + 0.1 * F.conv2d(inner, second.weight, second.bias, padding=1))


def test_the_deep_map_meets_the_shared_one_by_bilinear_interpolation():
    torch.manual_seed(0)
    head, low, deep = SISRHead(3, 5).eval(), torch.randn(1, 3, 8, 12), torch.randn(1, 5, 4, 6)
    joined = []
    head.body.register_forward_pre_hook(lambda module, inputs: joined.append(inputs[0]))
    with torch.no_grad():
        head.features(low, deep)
        finer = F.interpolate(head.deep(deep), (8, 12), mode="bilinear", align_corners=False)
        torch.testing.assert_close(joined[0], torch.cat((head.low(low), finer), 1))


@pytest.mark.parametrize("taps", ["stride2", "input"])
def test_a_finer_tap_and_a_deeper_decoder_train(taps):
    config = stage_2(f"model.sisr_taps={taps}", "model.sisr_decoder=edsr")
    batch = next(batches(training_set(load_split("streets", "train"), config), config, range(1), 0, CPU, 0))
    model = network.build(config).train()
    loss_terms(model, batch, config)["mse"].backward()
    assert all(p.grad.abs().sum() > 0 for name, p in model.sisr.named_parameters() if p.dim() == 4)
    assert model.host.base_net.level1.conv.weight.grad.abs().sum() > 0


def test_a_branch_that_warms_up_changes_no_feature():
    config = stage_2("optim.sisr_warmup=1")
    split = load_split("streets", "train")
    batch = next(batches(training_set(split, config), config, range(1), 0, CPU, 0))
    state = RunState(config, split, CPU)
    for alone in (True, False):
        state.network.sisr_alone = alone
        term = loss_terms(state.network, batch, config)["mse"]
        found = torch.autograd.grad(term, list(state.network.host.parameters())[:3], allow_unused=True)
        assert all((gradient is None) == alone for gradient in found)


def test_weights_are_calibrated_after_the_warm_up(results):
    """A residual that starts as zero has no gradient to calibrate; after its warm-up it has."""
    config = stage_2("optim.sisr_warmup=1", "model.sisr_residual=true", "model.sisr_taps=input",
                     "loss.share_sisr=0.2")  # fmt: skip
    directory = fit(config, device="cpu", progress=False)
    history = pd.read_csv(directory / "history.csv")
    assert history["share_mse"].iloc[0] == pytest.approx(0.2 / 1.2, abs=1e-3) and history["w1"].nunique() == 1
    start = read_json(directory / "env.json")["gradients_at_start"]
    assert start["gradient_mse"] / start["gradient_ce"] == pytest.approx(0.2, abs=1e-3)
    with pytest.raises(ValueError, match=r"loss.share_sisr = 0.2, but .* are 0 for mse"):
        fit(replace(config, optim=replace(config.optim, sisr_warmup=0)), device="cpu", progress=False)


def test_new_settings_of_the_branch_rename_no_run():
    plain = preset("smoke", "dsrl", overrides=TINY)
    for item in ("model.sisr_residual=false", "model.sisr_taps=deep", "model.sisr_decoder=espcn",
                 "optim.sisr_warmup=0"):  # fmt: skip
        assert preset("smoke", "dsrl", overrides=(*TINY, item)).run_id == plain.run_id
    with pytest.raises(ValueError, match=r"model\.sisr_taps = 'stride4'; allowed: deep, stride2, input"):
        preset("smoke", "dsrl", overrides=(*TINY, "model.sisr_taps=stride4"))
