"""A network that samples the frame: any host and head under it, at any size, in training, evaluation and deployment."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from downsampling_cases import grids, linear, pixel_places
from PIL import Image

from dsrl_lib import network
from dsrl_lib.config import Config, Data, Downsampling, Model, Optim
from dsrl_lib.data.normalise import normalise
from dsrl_lib.deploy.predict import predict
from dsrl_lib.deploy.prune import prune
from dsrl_lib.deploy.speed import speed
from dsrl_lib.evaluation import cost
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.evaluation.forward import network_input
from dsrl_lib.evaluation.given_locations import given_locations
from dsrl_lib.evaluation.tta import image_output
from dsrl_lib.metrics import VOID
from dsrl_lib.models.downsampling.downsampler import Downsampler
from dsrl_lib.models.downsampling.from_labels import jittered_locations, mean_locations, solved_locations
from dsrl_lib.models.downsampling.inverse import grid_coordinates
from dsrl_lib.models.downsampling.locations import cell_areas, resize_locations, unfolded, uniform_locations
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.host import Features

FRAME = (48, 64)


def settings(locations="uniform", **others) -> Config:
    """A configuration of a small frame; nothing of it is read from a disk."""
    data = Data("camvid", *FRAME, *FRAME, scale_max=1.0)
    stage = {"warm_start": "some-run"} if locations == "predicted" and others.get("stage") != "locations" else {}
    return Config(data=data, downsampling=Downsampling(locations, **others), optim=Optim(precision="fp32"), **stage)


class Memory:
    """A split of two frames: four upright stripes, and two areas."""

    names, sequences = ["a", "b"], ["s", "s"]

    def __init__(self):
        rng = np.random.default_rng(0)
        self.images = [rng.integers(0, 256, (*FRAME, 3), np.uint8) for _ in range(2)]
        self.labels = [np.zeros(FRAME, np.uint8) for _ in range(2)]
        self.labels[0][:], self.labels[1][30:] = np.arange(FRAME[1]) // 16, 2

    def __len__(self):
        return 2


class Scores(torch.nn.Module):
    """A host whose logits are its input: with exact sampling and inverse, the network is the identity."""

    classes, low_channels, deep_channels, last_channels, align_corners = 3, 3, 3, 3, False

    def features(self, x):
        return Features(x, x, x, aux=torch.nn.functional.avg_pool2d(x, 2))

    def classify(self, last):
        return last


@pytest.mark.parametrize("locations", ["uniform", "oracle"])
def test_a_linear_picture_comes_back_as_it_was(locations):
    """Bilinear sampling and the inverse are exact for linear pictures, also where the grid is bent."""
    part = Downsampler(Downsampling(locations, rows=4, columns=5, filter="bilinear"), 0.5)
    frame = linear(pixel_places((60, 80))).movedim(-1, 0)[None].expand(2, -1, -1, -1).float()
    given = None if locations == "uniform" else grids().float()
    outputs = DSRL(Scores(), sssr=False, downsampling=part)(frame, given)
    assert set(outputs) == {"logits", "aux"}
    middle = np.s_[:, :, 2:-2, 2:-2]  # the first and last half cell are constant
    for name, tolerance in (("logits", 1e-4), ("aux", 0.05)):
        assert outputs[name].shape == frame.shape
        assert (outputs[name] - frame)[middle].abs().max() < tolerance


@pytest.mark.parametrize("host", ["espnetv2_s0.5", "ddrnet23_slim"])
@pytest.mark.parametrize("sssr", [False, True])
def test_any_host_works_under_it_with_and_without_the_head(host, sssr):
    config = settings("predicted", stage="locations")
    config = replace(config, model=Model(host=host, sssr=sssr))
    model = network.build(config)
    frame = torch.randn(2, 3, 70, 90)
    network.set_training_mode(model, config)
    assert all(p.requires_grad == name.startswith("downsampling.") for name, p in model.named_parameters())
    assert list(model(frame)) == ["locations"] and model(frame)["locations"].shape == (2, 8, 8, 2)
    logits = model.eval()(frame)["logits"]
    assert logits.shape == (2, 11, 70, 90) and logits.isfinite().all()
    host_stage = settings("predicted")
    model = network.build(replace(host_stage, model=config.model))
    network.set_training_mode(model, host_stage)
    assert not model.downsampling.auxiliary.training and model.host.training
    outputs = model(frame)
    assert all(scores.shape == (2, 11, 70, 90) for scores in outputs.values())
    sum(scores.square().mean() for scores in outputs.values()).backward()
    assert all(p.grad is not None for p in model.host.parameters() if p.requires_grad)
    assert not any(p.requires_grad for p in model.downsampling.parameters())


def test_sampling_moves_no_other_start():
    plain, sampled = (network.build(config).state_dict() for config in (settings("none"), settings("predicted")))
    assert all(torch.equal(value, sampled[key]) for key, value in plain.items())
    assert {key.partition(".")[0] for key in sampled.keys() - plain.keys()} == {"downsampling"}


def test_swapped_locations_are_those_of_another_sample():
    part = Downsampler(Downsampling("oracle", swapped=True), 0.5)
    locations, frame = grids(3, (8, 8)).float(), torch.randn(3, 3, 16, 16)
    of_each, of_others = (
        grid_coordinates(resize_locations(x, (8, 8)), (16, 16)) for x in (locations, locations[[2, 0, 1]])
    )
    assert torch.equal(part.train()(frame, locations)[1], of_others)
    assert torch.equal(part.eval()(frame, locations)[1], of_each)  # evaluation gives those of another frame
    split = Memory()
    own, swapped = (given_locations(None, split, 0, settings("oracle", swapped=s)) for s in (False, True))
    assert torch.equal(swapped, given_locations(None, split, 1, settings("oracle"))) and not torch.equal(own, swapped)


def test_a_network_that_swaps_is_given_what_it_predicts_for_another_frame():
    config, split = settings("predicted", swapped=True), Memory()
    torch.manual_seed(0)
    model = network.build(config).eval()
    torch.nn.init.normal_(model.downsampling.auxiliary.shift.weight, std=0.05)  # it starts as zero: uniform locations
    frames = [normalise(network_input(image, config)[None]) for image in split.images]
    with torch.no_grad():
        own = [unfolded(model.downsampling.predicted(frame)) for frame in frames]
    assert not torch.equal(*own)
    assert all(torch.equal(given_locations(model, split, i, config), own[1 - i]) for i in range(2))


def test_jitter_is_as_far_from_uniform_as_the_oracle_and_has_no_folds():
    labels, chosen = Memory().labels[0], Downsampling("jitter")
    uniform = uniform_locations((8, 8))
    one, two = (jittered_locations(labels, chosen, np.random.default_rng(seed)) for seed in (0, 1))
    far = [(grid - uniform).square().mean() for grid in (one, two, solved_locations(labels, chosen))]
    assert far[0] == pytest.approx(far[2]) and far[1] == pytest.approx(far[2])
    assert not torch.equal(one, two) and cell_areas(one).min() > 0
    assert torch.equal(one, jittered_locations(labels, chosen, np.random.default_rng(0)))


def test_the_mean_grid_is_the_mean_of_solved_grids():
    labels, chosen = Memory().labels, Downsampling("mean")
    both = [solved_locations(label, chosen) for label in labels]
    assert torch.allclose(mean_locations(labels, chosen), (both[0] + both[1]) / 2)
    flat = np.full(FRAME, VOID, np.uint8)
    assert torch.allclose(mean_locations([flat], chosen), uniform_locations((8, 8)), atol=1e-6)


def test_evaluation_uses_the_labels_of_the_oracle_and_measures_predictions():
    split = Memory()
    for locations in ("uniform", "oracle", "jitter", "predicted"):
        config = settings(locations)
        found = evaluate(network.build(config), split, config)
        assert found.counts.shape == (2, 11, 3)
        errors = found.summary().get("location_error"), found.summary().get("location_error_uniform")
        if locations == "predicted":  # not trained yet, it gives the uniform grid
            solved = [solved_locations(label, config.downsampling) for label in split.labels]
            each = [(grid - uniform_locations((8, 8))).square().mean().sqrt() for grid in solved]
            assert errors == pytest.approx((np.mean(each), np.mean(each)))
        else:
            assert errors == (None, None)


def test_augmentation_works_where_the_network_finds_its_locations():
    split, tta = Memory(), TTA(scales=(0.75, 1.0), flip=True)
    config = settings("predicted")
    mean, _ = image_output(network.build(config).eval(), split.images[0], config, tta)
    assert mean.shape == (1, 11, *FRAME)
    config = settings("oracle")
    with pytest.raises(ValueError, match="allowed: frames of a split"):
        image_output(network.build(config).eval(), split.images[0], config, TTA())
    with pytest.raises(ValueError, match="allowed: the plain input"):
        evaluate(network.build(config), split, config, tta=tta)


@pytest.mark.parametrize("locations", ["predicted", "oracle"])
def test_costs_count_the_auxiliary_network_and_the_host_on_samples(locations):
    config = settings(locations)
    model = network.build(config)
    costs = cost.measure(model, config)
    plain = cost.macs(network.build(settings("none")).eval(), torch.randn(1, 3, 24, 32))
    assert costs["input"] == [24, 32] and costs["macs_host"] == plain and costs["prune_bit_equal"]
    auxiliary = cost.macs(model.downsampling.auxiliary, torch.randn(1, 3, 64, 64)) if locations == "predicted" else 0
    assert costs["macs_pruned"] == costs["macs_full"] == plain + auxiliary
    assert len(speed(model.eval(), config, [FRAME], batch=1, seconds=0.01)) == 1


@pytest.mark.parametrize("parts", [{}, {"sssr": True, "sisr": True, "fa": True}])
def test_it_is_saved_pruned_and_predicts(tmp_path, parts):
    config = replace(settings("predicted"), model=Model(**parts))
    model = network.build(config).eval()
    with torch.no_grad():
        model.downsampling.auxiliary.mean[3, 4] += 0.03
    network.save(model, config, tmp_path / "a.safetensors")
    prune(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    again, _ = network.load(tmp_path / "b.safetensors")
    frame = torch.randn(1, 3, *FRAME)
    with torch.inference_mode():
        assert torch.equal(model(frame)["logits"], again.eval()(frame)["logits"])
    assert (again.sisr, again.ftm) == (None, None)
    oracle = settings("oracle")
    Image.fromarray(Memory().images[0]).save(tmp_path / "p.png")
    assert predict(model, config, [str(tmp_path / "p.png")], tmp_path / "out", progress=False).written == 1
    assert (tmp_path / "out" / "sr" / "p.png").exists() is bool(parts)
    with pytest.raises(ValueError, match="allowed: frames of a split, such as camvid:val"):
        predict(network.build(oracle), oracle, [str(tmp_path / "p.png")], tmp_path / "other", progress=False)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"downsampling": Downsampling(stage="locations")}, "downsampling.stage = 'locations'; allowed: host"),
    ({"downsampling": Downsampling("oracle", stage="locations")}, "downsampling.stage"),
    ({"downsampling": Downsampling("predicted")}, "downsampling.locations = 'predicted'; allowed: predicted in a run"),
    ({"downsampling": Downsampling("uniform", swapped=True)}, "downsampling.swapped = True; allowed: false"),
    ({"downsampling": Downsampling("mean"), "model": Model(input_scale=0.01)}, "two samples or more"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(Config(), **wrong).checked()
