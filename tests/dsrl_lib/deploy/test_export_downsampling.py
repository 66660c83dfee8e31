"""Exported networks that sample the frame: sampling and inverse are in the file, and its logits are the network's."""

from dataclasses import replace

import onnxruntime
import pytest
import torch
from downsampling_cases import grids, random

from dsrl_lib import network
from dsrl_lib.config import Config, Data, Downsampling, Model, Optim
from dsrl_lib.data.normalise import normalise
from dsrl_lib.deploy.export import SUFFIXES, export
from dsrl_lib.models import sizes
from dsrl_lib.models.downsampling import inverse, locations

OTHER = ((1, 3, 90, 66), (3, 3, 69, 107))
"""Shapes that no file is compared at when it is written; 69 and 107 leave a half to round, down and up."""


def bent(where: str, **model) -> tuple[torch.nn.Module, Config]:
    """A network with a strongly bent grid, other for each frame where the auxiliary network says it."""
    config = Config(data=Data("camvid", 48, 64, 48, 64, scale_max=1.0), optim=Optim(precision="fp32"))
    start = {"warm_start": "some-run"} if where == "predicted" else {}
    config = replace(config, downsampling=Downsampling(where), model=Model(**model), **start)
    built = network.build(config).eval()
    part = built.downsampling
    predicts = where == "predicted"
    with torch.no_grad():
        (part.auxiliary.mean if predicts else part.fixed).copy_(grids(1, (8, 8))[0])
        if predicts:
            torch.nn.init.normal_(part.auxiliary.shift.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    return built, config


def frames(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def run(path, images):
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    with torch.no_grad():
        return torch.jit.load(str(path))(images) if path.suffix == ".pt" else torch.export.load(path).module()(images)


@pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")
@pytest.mark.parametrize(("where", "format", "parts"), [
    ("mean", "torchscript", {"host": "ddrnet23_slim"}),
    ("predicted", "torchscript", {"host": "ddrnet23_slim", "sssr": True, "sisr": True, "fa": True}),
    pytest.param("predicted", "pt2", {"host": "ddrnet23_slim"}, marks=pytest.mark.endurance),  # minutes
    pytest.param("predicted", "onnx", {"host": "ddrnet23_slim"}, marks=pytest.mark.endurance),
])  # fmt: skip
def test_a_file_gives_the_logits_of_the_network(tmp_path, where, format, parts):
    built, config = bent(where, **parts)
    out = tmp_path / f"file{SUFFIXES[format]}"
    export(built, config, out, format)
    for shape in OTHER:
        images = frames(*shape)
        with torch.no_grad():
            expected = built(normalise(images))["logits"]
        got = run(out, images)
        assert got.shape == (shape[0], 11, *shape[2:])
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * max(1, expected.abs().max().item()))


@pytest.mark.parametrize(("settings", "name"), [
    (Downsampling("oracle"), "locations = oracle"),
    (Downsampling("jitter"), "locations = jitter"),
    (Downsampling("predicted", swapped=True), "swapped = True"),
])  # fmt: skip
def test_locations_that_no_image_has_are_refused(tmp_path, settings, name):
    config = Config(data=Data("camvid", 48, 64, 48, 64), downsampling=settings, warm_start="some-run")
    with pytest.raises(ValueError, match=f"downsampling.{name} cannot be exported: .*allowed: none, uniform, mean"):
        export(network.build(config), config, tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_forms_for_files_give_the_same_numbers(monkeypatch):
    grid, size = grids(3), (9, 11)
    resized = locations.resize_locations(grid, size)
    index = inverse.grid_coordinates(resized, (23, 31))
    sides = {(side, scale): sizes.scaled(side, scale) for side in range(64, 110) for scale in (0.5, 0.505, 0.73)}
    for module in (sizes, inverse, locations):
        monkeypatch.setattr(module, "exporting", lambda: True)
    torch.testing.assert_close(locations.resize_locations(grid, size), resized, rtol=0, atol=1e-14)
    torch.testing.assert_close(locations.resize_locations(grid, (4, 5)), grid, rtol=0, atol=1e-14)  # its own size
    torch.testing.assert_close(inverse.grid_coordinates(resized, (23, 31)), index, rtol=0, atol=1e-9)
    assert all(sizes.scaled(*key) == side for key, side in sides.items())
    scores = random(3, 2, *size)
    back = inverse.interpolate_back(scores, grid, (23, 31))
    monkeypatch.undo()
    torch.testing.assert_close(back, inverse.interpolate_back(scores, grid, (23, 31)), rtol=0, atol=1e-9)
