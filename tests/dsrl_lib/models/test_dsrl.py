"""The DSRL framework: heads start where they say, branches leave the host alone, pruning changes nothing."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dsrl_lib import network
from dsrl_lib.losses.relaxation_controls import moved_borders
from dsrl_lib.models.build import build_host
from dsrl_lib.models.downsampling.from_labels import label_locations
from dsrl_lib.models.dsrl import DSRL, FeatureTransform
from dsrl_lib.models.sssr import DeconvHead, SubpixelHead
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.schedule import make_optimizer
from dsrl_lib.training.targets import wants_locations
from study.arms import ARMS
from study.presets import preset

TINY = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.precision=fp32")


def tiny_config(arm: str, *overrides: str):
    return preset("smoke", arm, overrides=(*TINY, *overrides))


def batch(config, size=2):
    generator = torch.Generator().manual_seed(0)
    height, width = config.data.crop_height, config.data.crop_width
    inputs = [round(side * config.frame_scale) for side in (height, width)]
    samples = {
        "input": torch.randint(256, (size, 3, *inputs), generator=generator, dtype=torch.uint8),
        "hr": torch.randint(256, (size, 3, height, width), generator=generator, dtype=torch.uint8),
        "labels": torch.randint(19, (size, height, width), generator=generator, dtype=torch.uint8),
    }
    if config.loss.sisr_target == "noise":
        samples["noise"] = torch.randn((size, 3, height, width), generator=generator)
    if config.loss.relax_control != "none":  # labels with an inside: a frame of borders alone leaves out every pixel
        small = samples["labels"][:, ::8, ::8]
        samples["labels"] = small.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :height, :width]
    if config.loss.relax_control == "moved":
        rng = np.random.default_rng(0)
        others = [samples["labels"].flip(2)[i] for i in range(2)]
        samples["sets"] = torch.stack([moved_borders(label, others, 19, rng) for label in samples["labels"]])
    if wants_locations(config.downsampling):
        rng = np.random.default_rng(0)
        found = [label_locations(labels, config.downsampling, rng) for labels in samples["labels"]]
        samples["locations"] = torch.stack(found)  # (B, n, m, 2)
    return samples


def test_subpixel_head_starts_as_bilinear_interpolation_borders_included():
    class_map = torch.randn(2, 5, 6, 7)
    expected = F.interpolate(class_map, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(SubpixelHead(5, "bilinear")(class_map), expected)


def test_deconvolution_head_starts_as_linear_interpolation_between_samples():
    class_map = torch.randn(1, 3, 5, 6)
    out = DeconvHead(3, "bilinear")(class_map)
    assert out.shape == (1, 3, 20, 24)
    for i in range(4):  # by hand: sample i sits at 4 i, the border fades to zero
        for j in range(5):
            for a in range(4):
                for b in range(4):
                    top = (1 - b / 4) * class_map[..., i, j] + b / 4 * class_map[..., i, j + 1]
                    low = (1 - b / 4) * class_map[..., i + 1, j] + b / 4 * class_map[..., i + 1, j + 1]
                    torch.testing.assert_close(out[..., 4 * i + a, 4 * j + b], (1 - a / 4) * top + a / 4 * low)


def test_random_start_has_the_released_layers():
    kinds = [type(m).__name__ for m in DeconvHead(4, "random").steps]
    assert kinds == ["ConvTranspose2d", "BatchNorm2d", "PReLU"] * 2
    first, second = DeconvHead(4, "random").steps[0], DeconvHead(4, "random").steps[0]
    assert not torch.equal(first.weight, second.weight)


@pytest.mark.parametrize("arm", ARMS)
def test_every_trainable_parameter_is_in_one_group_and_moves(arm):
    alone = arm == "locations"  # squares of shares of a frame are too small for SGD
    config = tiny_config(arm, "optim.weight_decay=0", *(() if alone else ("optim.optimizer=sgd", "optim.lr=0.1")))
    model = network.build(config).train()
    optimizer = make_optimizer(model, config)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert sorted(grouped) == sorted(id(p) for p in trainable.values())

    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    # A bias before a batch norm moves once its gradient has left rounding error; so do layers before a prediction that
    # starts at zero.
    for _ in range(8 if config.model.sisr_residual or alone else 2):
        optimizer.zero_grad()
        terms = loss_terms(model, batch(config, 4), config)
        sum(terms.values()).backward()
        optimizer.step()
    assert all(term.item() > 0 for term in terms.values())
    still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    frozen = {name for name in before if name not in trainable}
    assert still == frozen
    expected_frozen = {n for n in before if n.endswith("module_act.weight") and "_0.eesp" in n}
    if config.downsampling.locations == "predicted":
        expected_frozen |= {n for n in before if n.startswith("host." if alone else "downsampling.")}
    if config.model.sisr_frozen:
        expected_frozen |= {n for n in before if n.startswith(("sisr.", "ftm."))}
        assert any(n.startswith("ftm.") for n in before) == config.model.fa
    assert frozen == expected_frozen


@pytest.mark.parametrize("arm", ["lr", "sssr", "sssr_sisr", "dsrl", "fa_output_to3_raw", "hr"])
def test_loss_has_the_terms_of_its_arm(arm):
    config = tiny_config(arm)
    terms = loss_terms(network.build(config), batch(config), config)
    expected = {"ce"}
    expected |= {"mse"} if config.model.sisr else set()
    expected |= {"fa"} if config.model.fa else set()
    assert set(terms) == expected


def test_weights_w1_and_w2_scale_their_terms():
    plain, doubled = tiny_config("dsrl"), tiny_config("dsrl", "loss.w1=0.2", "loss.w2=3")
    one = loss_terms(network.build(plain), batch(plain), plain)
    two = loss_terms(network.build(doubled), batch(doubled), doubled)
    torch.testing.assert_close(two["mse"], 2 * one["mse"])
    torch.testing.assert_close(two["fa"], 3 * one["fa"])
    torch.testing.assert_close(two["ce"], one["ce"])


@pytest.mark.parametrize("arm", ["sssr", "dsrl", "fa_output_none_norm", "sssr_random"])
def test_adding_a_branch_moves_neither_the_host_nor_the_shared_heads(arm):
    plain = network.build(tiny_config("lr")).state_dict()
    other = network.build(tiny_config(arm)).state_dict()
    assert all(torch.equal(plain[key], other[key]) for key in plain)
    stage3 = network.build(tiny_config("dsrl")).state_dict()
    assert all(torch.equal(value, stage3[key]) for key, value in other.items() if key.startswith("sisr."))


def test_seeds_differ():
    one, two = (network.build(preset("smoke", "dsrl", seed=seed)).state_dict() for seed in (0, 1))
    for part in ("host.base_net.level1.conv.weight", "sisr.predict.weight", "ftm.0.weight"):
        assert not torch.equal(one[part], two[part])


@pytest.mark.parametrize("host", ["espnetv2_s0.5", "ddrnet23_slim", "deeplabv3plus_resnet18"])
@pytest.mark.parametrize("head", ["deconv", "subpixel"])
def test_pruned_logits_are_bit_equal_and_have_twice_the_size(host, head):
    model = DSRL(build_host(host, 11), sssr_head=head, sisr=True, fa=True).eval()
    x = torch.randn(2, 3, 36, 50)
    with torch.inference_mode():
        full, pruned = model(x), model.prune()(x)
    assert full["image"].shape == (2, 3, 72, 100)
    assert full["logits"].shape == (2, 11, 72, 100)
    assert set(pruned) == {"logits"}
    assert torch.equal(full["logits"], pruned["logits"])
    assert model.sisr is not None and model.fa  # the training network is left as it was


@pytest.mark.parametrize(
    "host", ["deeplabv3plus_seresnext50", "deeplabv3plus_drn_d_54", "deeplabv3plus_xception", "deepwv3plus"]
)
def test_large_hosts_train_with_every_branch(host):
    model = DSRL(build_host(host, 11), sisr=True, fa=True).train()
    out = model(torch.randn(2, 3, 35, 50))
    assert out["logits"].shape == (2, 11, 70, 100)
    assert out["image"].shape == (2, 3, 70, 100)
    sum(result.square().mean() for result in out.values()).backward()
    for tap in (model.sisr.low, model.sisr.deep, model.ftm):
        assert tap[0].weight.grad.abs().sum() > 0
    assert next(model.host.parameters()).grad.abs().sum() > 0


@pytest.mark.parametrize("size", [(37, 51), (45, 60), (17, 33)])
def test_any_input_size_gives_twice_the_size(size):
    model = DSRL(build_host("espnetv2_s0.5", 11), sisr=True, fa=True).eval()
    out = model(torch.randn(1, 3, *size))
    assert out["logits"].shape[2:] == out["image"].shape[2:] == (2 * size[0], 2 * size[1])


def test_without_sssr_the_network_is_its_host():
    host = build_host("espnetv2_s0.5", 7).eval()
    x = torch.randn(1, 3, 32, 48)
    assert torch.equal(DSRL(host, sssr=False)(x)["logits"], host(x))


def test_the_feature_transform_is_where_and_as_wide_as_asked():
    host = build_host("espnetv2_s0.5", 11)

    def transform(**settings) -> nn.Conv2d:
        return DSRL(host, sisr=True, fa=True, **settings).ftm[0]

    assert transform(fa_placement="features", ftm="keep").weight.shape == (10, 10, 1, 1)
    assert transform(fa_placement="features", ftm="to3").weight.shape == (3, 10, 1, 1)
    assert transform(fa_placement="output", ftm="keep").weight.shape == (11, 11, 1, 1)
    assert transform(fa_placement="output", ftm="to3").weight.shape == (3, 11, 1, 1)
    assert DSRL(host, sisr=True, fa=True, ftm="none").ftm is None


def test_the_feature_transform_is_convolution_norm_and_rectifier():
    torch.manual_seed(0)
    ftm, x = FeatureTransform(3, 4), torch.randn(2, 3, 5, 6)
    y = torch.einsum("oi,bihw->bohw", ftm[0].weight[:, :, 0, 0], x)
    y = (y - y.mean((0, 2, 3), keepdim=True)) / (y.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(ftm(x), y.clamp(min=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fa": True}, "needs sssr=True and sisr=True"),
        ({"sisr": "false"}, "sisr = 'false'; allowed: "),
        ({"seed": -1}, "seed = -1; allowed: a whole number, from 0 to"),
        ({"sssr_head": "bicubic"}, "sssr_head = 'bicubic'; allowed: deconv, subpixel"),
        ({"sssr_start": "zero"}, "sssr_start = 'zero'; allowed: bilinear, random"),
        ({"sssr_norm": "batch", "sssr_head": "subpixel"}, "sssr_norm = 'batch'; allowed: start with .* no batch norms"),
        ({"ftm": "to19"}, "ftm = 'to19'; allowed: keep, to3, none"),
        ({"fa_placement": "logits"}, "fa_placement = 'logits'; allowed: features, output"),
    ],
)
def test_wrong_settings_are_explained(settings, message):
    with pytest.raises(ValueError, match=message):
        DSRL(build_host("espnetv2_s0.5", 11), **settings)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 4, 32, 32), (1, 3, 32, 32)])
def test_an_input_that_is_no_normalised_image_is_refused(shape):
    model = DSRL(build_host("espnetv2_s0.5", 3))
    x = torch.ones(shape, dtype=torch.uint8 if shape == (1, 3, 32, 32) else torch.float32)
    with pytest.raises(ValueError, match=r"x is .* \(.*\); allowed: floats \(B, 3, H, W\), normalised RGB"):
        model(x)


def test_a_head_of_unknown_form_is_refused():
    with pytest.raises(ValueError, match="start = 'bilin'; allowed: bilinear, random"):
        SubpixelHead(3, "bilin")
    with pytest.raises(ValueError, match="norm = 'group'; allowed: start, batch, none"):
        DeconvHead(3, "random", "group")


def test_saved_weights_load_with_their_meaning_and_a_misfit_is_listed(tmp_path):
    config = tiny_config("dsrl")
    model = network.build(config)
    network.save(model, config, tmp_path / "w.safetensors")
    loaded, its_config = network.load(tmp_path / "w.safetensors")
    assert its_config == config
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])
    with pytest.raises(ValueError, match=r"cannot start this network; not in it: .*sisr\.predict"):
        network.warm_start(network.build(tiny_config("sssr")), tmp_path / "w.safetensors", config.run_id)
    with pytest.raises(ValueError, match=f"holds the weights of {config.run_id}; expected those of smoke-other"):
        network.warm_start(network.build(config), tmp_path / "w.safetensors", "smoke-other")
    with pytest.raises(FileNotFoundError, match=r"weights .*none\.safetensors do not exist$"):
        network.load(tmp_path / "none.safetensors")
    (tmp_path / "metrics.json").write_text("{}")  # of a complete run
    with pytest.raises(FileNotFoundError, match="weights are not kept in git"):
        network.load(tmp_path / "none.safetensors")
