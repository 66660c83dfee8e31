"""A training step on a GPU stays there: nothing is mixed with a tensor of the CPU, and nothing waits for a value.

Fake tensors hold no numbers, and lie on a device that need not be here. With them, an operation on tensors of two
devices is an error, and so is reading a value, for which a GPU would first have to end all that it was given.
"""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from dsrl_lib import network
from dsrl_lib.losses import feature_affinity
from dsrl_lib.models.downsampling import downsampler, inverse, sampler
from dsrl_lib.models.downsampling.locations import solve_locations
from dsrl_lib.training.loss import loss_terms
from study.presets import preset

GPU = torch.device("cuda", 0)
SIZE = (64, 96)  # of the input; frame and labels have twice as many rows and columns


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch):
    """Triton compiles for a real card: FA takes its tiles of matrix products."""
    monkeypatch.setattr(feature_affinity, "_triton_works", lambda *_: False)


def moved(module: nn.Module) -> None:
    """Put fake parameters and buffers on the GPU; `to` would ask for a real one."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            fake = torch.empty_like(value, device=GPU)
            part.register_parameter(name, nn.Parameter(fake, requires_grad=value.requires_grad))
        for name, value in list(part.named_buffers(recurse=False)):
            part.register_buffer(name, torch.empty_like(value, device=GPU))


def step(arm: str, *overrides: str, host: str = "espnetv2_s0.5") -> set[torch.device]:
    """Where the terms of the loss of an arm lie, for a fake batch."""
    config = preset("idd", arm, host, overrides=["model.pretrained=none", "optim.precision=fp32", *overrides])
    model = network.build(config)
    high = (2 * SIZE[0], 2 * SIZE[1])
    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()):
        moved(model)
        network.set_training_mode(model, config)
        whole = config.downsampling.locations != "none"
        batch = {
            "input": torch.empty(2, 3, *(high if whole else SIZE), dtype=torch.uint8, device=GPU),
            "hr": torch.empty(2, 3, *high, dtype=torch.uint8, device=GPU),
            "labels": torch.empty(2, *high, dtype=torch.uint8, device=GPU),
            "locations": torch.empty(2, config.downsampling.rows, config.downsampling.columns, 2, device=GPU),
        }
        if config.loss.sisr_target == "noise":
            batch["noise"] = torch.empty(2, 3, *high, device=GPU)
        if config.loss.relax_control == "moved":
            batch["sets"] = torch.empty(2, *high, dtype=torch.int64, device=GPU)
        weights = torch.empty(7, device=GPU) if config.loss.class_weights == "frequency" else None
        return {value.device for value in loss_terms(model, batch, config, weights).values()}


@pytest.mark.parametrize(
    "host",
    [
        "espnetv2_s0.5", "ddrnet23_slim", "deeplabv3plus_resnet18", "deeplabv3plus_mobilenetv2",
        "deeplabv3plus_seresnext50", "deeplabv3plus_efficientnet_lite0", "deeplabv3plus_drn_d_54",
        "deeplabv3plus_xception", "deepwv3plus",
    ],
)  # fmt: skip
def test_each_kind_of_host(host):
    assert step("dsrl", host=host) == {GPU}


@pytest.mark.parametrize(
    "arm",
    [
        "lr", "dsrl_res", "sisr_noise_share", "sisr_frozen_share", "fa_output_to3_raw_share",
        "fa_features_none_norm_share", "released_sanje2v", "released_dootmaan", "relaxed", "relaxed_moved",
        "border_void",
    ],
)  # fmt: skip
def test_each_kind_of_arm(arm):
    assert step(arm) == {GPU}


@pytest.mark.parametrize(
    "overrides",
    [
        ("loss.segmentation=focal",),
        ("loss.segmentation=boundary", "loss.relax_upper_bound=1"),
        ("loss.segmentation=relaxed", "loss.relax_upper_bound=1", "loss.relax_weights_over=batch"),
        ("loss.class_weights=frequency",),
        ("loss.class_weights=image", "loss.class_bound=6"),
        ("loss.class_weights=batch",),
        ("model.sssr_head=subpixel",),
        ("loss.fa_q=2",),
    ],
    ids=" ".join,
)
def test_each_kind_of_setting(overrides):
    assert step("dsrl", *overrides) == {GPU}


@pytest.mark.parametrize("arm", ["uniform_point", "adaptive_oracle", "adaptive_swap", "locations", "adaptive"])
def test_adaptive_downsampling(monkeypatch, arm):
    """Its check that all pixels are covered reads a value; the rest does not."""

    def unchecked(locations, size):
        return inverse.pairs_of_cells_and_pixels(*inverse._in_pixels(locations, size))

    for module in (inverse, downsampler, sampler):
        monkeypatch.setattr(module, "grid_coordinates", unchecked)
    assert step(arm) == {GPU}


def test_locations_are_solved_there():
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert solve_locations(torch.empty(2, 8, 8, 2, device=GPU), 1.0).device == GPU


def test_a_mix_and_a_value_that_is_read_are_found():
    with FakeTensorMode():
        x = torch.empty(3, device=GPU)
        with pytest.raises(RuntimeError, match="on the same device"):
            x + torch.empty(3)
        with pytest.raises(DataDependentOutputException):
            bool(x.isfinite().all())
        with pytest.raises(DynamicOutputShapeException):
            x[x > 0]
