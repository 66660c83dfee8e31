"""Exported files: run by other programs, at sizes they were not recorded at, they give the network's logits."""

import json
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from dsrl_lib import network
from dsrl_lib.data.normalise import normalise
from dsrl_lib.deploy import export as exporting
from dsrl_lib.deploy.export import export
from dsrl_lib.models import sizes
from study.presets import preset

SMALL = ("data.height=64", "data.width=96", "data.crop_height=64", "data.crop_width=96", "optim.precision=fp32")


def untrained(arm: str, host: str | None = None):
    """A network whose batch norms do something, and its configuration."""
    config = preset("smoke", arm, host, overrides=SMALL)
    model = network.build(config)
    for norm in network.batch_norms(model):
        torch.nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return model.eval(), config


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "dsrl.safetensors"
    model, config = untrained("dsrl")
    network.save(model, config, path)
    return path


def frames(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(path: Path, images: torch.Tensor) -> torch.Tensor:
    return network.load(path)[0].eval()(normalise(images))["logits"]


@pytest.mark.endurance  # test_torchscript exports too, sooner
def test_onnx_runs_at_any_size_elsewhere(command_line, tmp_path):
    """With DDRNet, which is sooner exported than ESPNetv2; test_real_frames exports that one."""
    saved = tmp_path / "dsrl.safetensors"
    network.save(*untrained("dsrl", "ddrnet23_slim"), saved)
    out = tmp_path / "dsrl.onnx"
    done = command_line("dsrl_lib", "export", saved, out)
    assert done.returncode == 0, done.stderr
    assert "onnx, opset 18" in done.stdout and "uint8 RGB images, (B, 3, H, W)" in done.stdout
    assert done.stderr == ""
    model = onnx.load(out)
    onnx.checker.check_model(model)
    dims = [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)]  # fmt: skip
    assert dims == [["batch", 3, "height", "width"], ["batch", 19, "2*height", "2*width"]]
    about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert about["config"]["arm"] == "dsrl" and about["classes"][0] == "road" and about["normalisation"]["inside"]
    model.graph.ClearField("initializer")  # weights may hold any bytes
    assert b".py" not in model.SerializeToString()  # says nothing of the machine that wrote it
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 48, 33), (3, 3, 71, 90), (1, 3, 160, 240)):
        got = torch.from_numpy(session.run(["logits"], {"images": frames(*shape).numpy()})[0])
        expected = logits(saved, frames(*shape))
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_torchscript_runs_at_any_size(command_line, saved, tmp_path):
    out = tmp_path / "dsrl.pt"
    done = command_line("dsrl_lib", "export", saved, out, "--format", "torchscript", "--normalised")
    assert done.returncode == 0 and "float32 images, normalised" in done.stdout and done.stderr == ""
    assert "device: cpu" in done.stdout
    about = {"classes": ""}
    with pytest.warns(DeprecationWarning, match="torch.jit.load"):
        module = torch.jit.load(str(out), _extra_files=about)
    assert json.loads(about["classes"])[0] == "road"
    for shape in ((1, 3, 48, 33), (3, 3, 71, 90)):
        with torch.no_grad():
            got = module(normalise(frames(*shape)))
        torch.testing.assert_close(got, logits(saved, frames(*shape)), rtol=0, atol=1e-3)


def test_a_device_that_is_not_known_is_refused_and_nothing_is_written(saved, tmp_path):
    with pytest.raises(ValueError, match="device = 'tpu'; allowed: auto, cpu, cuda"):
        export(*network.load(saved), tmp_path / "dsrl.pt", "torchscript", device="tpu")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("suffix", ["pt", "pt2"])
def test_a_file_for_a_gpu_runs_there(saved, tmp_path, suffix):
    out, images = tmp_path / f"dsrl.{suffix}", frames(1, 3, 48, 33)
    made = export(*network.load(saved), out, {"pt": "torchscript", "pt2": "pt2"}[suffix], device="cuda")
    run = torch.jit.load(str(out)) if suffix == "pt" else torch.export.load(out).module()
    found = run(images.cuda())
    assert made.device == found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), logits(saved, images), rtol=1e-2, atol=1e-2)


@pytest.mark.endurance
def test_an_exported_program_runs_at_any_size(command_line, tmp_path):
    model, config = untrained("lr", "ddrnet23_slim")
    weights, out = tmp_path / "lr.safetensors", tmp_path / "lr.pt2"
    network.save(model, config, weights)
    done = command_line("dsrl_lib", "export", weights, out, "--format", "pt2")
    assert done.returncode == 0 and "pt2" in done.stdout, done.stderr
    with out.open("rb") as file:
        module = torch.export.load(file).module()
    for shape in ((1, 3, 80, 64), (2, 3, 71, 90)):
        got = module(frames(*shape))
        expected = logits(weights, frames(*shape))
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    model, config = untrained("lr")
    out = tmp_path / "lr.onnx"

    def writer(wrapped, images, path, metadata):
        path.write_bytes(b"file")
        return lambda x: wrapped(x) + 0.01 * wrapped(x).abs().max()

    monkeypatch.setitem(exporting._WRITERS, "onnx", writer)
    with pytest.raises(RuntimeError, match=r"differs from the network by 0\.01 of the largest logit"):
        export(model, config, out, "onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("format", ["torchscript", "pt2"])
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path, monkeypatch, format):
    monkeypatch.setattr(exporting, "_program", lambda module, images: torch.export.export(module, (images,)))
    (tmp_path / "file").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        exporting._WRITERS[format](torch.nn.Linear(8, 8), torch.ones(1, 8), tmp_path / "file", {})


def test_the_suffix_says_the_format(command_line, saved, tmp_path):
    done = command_line("dsrl_lib", "export", saved, tmp_path / "a.pt", "--format", "onnx")
    assert done.returncode == 1 and "a file of format onnx ends in .onnx" in done.stderr
    model, config = untrained("lr")
    with pytest.raises(ValueError, match="format = 'tflite'; allowed: onnx, torchscript, pt2"):
        export(model, config, tmp_path / "a.tflite", "tflite")


@pytest.mark.parametrize("linked", [False, True])
def test_the_weights_are_not_overwritten(command_line, tmp_path, linked):
    """A published state dict may have the suffix of a TorchScript file."""
    source, out = tmp_path / "net.pt", tmp_path / ("other.pt" if linked else "net.pt")
    torch.save(untrained("lr")[0].host.state_dict(), source)
    if linked:
        out.symlink_to(source)
    before = source.read_bytes()
    options = ["--format", "torchscript", "--host", "espnetv2_s0.5"]
    done = command_line("dsrl_lib", "export", source, out, *options)
    assert done.returncode == 1 and f"out = {out} is the file of weights, which would be lost" in done.stderr
    assert source.read_bytes() == before and out.is_symlink() == linked


def test_packages_that_onnx_needs_are_named_and_other_formats_do_without(tmp_path, monkeypatch):
    model, config = untrained("lr")
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="'onnx' needs onnx: pip install onnx onnxruntime onnxscript"):
        export(model, config, tmp_path / "a.onnx", "onnx")
    monkeypatch.setitem(exporting._WRITERS, "pt2", lambda wrapped, images, path, _: path.touch() or wrapped)
    assert export(model, config, tmp_path / "a.pt2", "pt2").difference == 0


@pytest.mark.parametrize("size", [(5, 7), (16, 9), (33, 64)])
@pytest.mark.parametrize("cells", [(1, 1), (3, 5), (4, 4), (5, 9), (7, 13)])
def test_pooling_for_files_is_adaptive_pooling(monkeypatch, size, cells):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(sizes, "exporting", lambda: True)
    torch.testing.assert_close(sizes.adaptive_average(x, cells), F.adaptive_avg_pool2d(x, cells), rtol=1e-5, atol=1e-5)
