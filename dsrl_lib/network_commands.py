"""Commands for a trained network: predict, evaluate, make it small, export it, time it."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dsrl_lib.commands import Device, HostOfWeights, PathIfGiven, Weights, Workers, optional
from dsrl_lib.evaluation.augmentation import TTA


@dataclass(frozen=True)
class Inference:
    """A trained network, and how it sees an image."""

    weights: Weights
    host: HostOfWeights = None
    tta: Annotated[TTA, tyro.conf.arg(name="", help="Test-time augmentation.")] = field(default_factory=TTA)
    device: Device = "auto"

    def open(self) -> tuple[Any, Any]:
        """The network, on its device, and its configuration."""
        return _open(self.weights, self.host, self.device)


Trained = Annotated[Inference, tyro.conf.arg(name="")]
"""The options of `Inference` without a prefix."""


def predict(sources: tyro.conf.Positional[tuple[str, ...]], trained: Trained, out: Path) -> None:
    """Predict images into DIR/{rgb,pred,compose,diff,sr}; a bad image is reported at the end (exit status 1).

    Args:
        sources: Images, folders, patterns, or dataset:split such as camvid:test.
        out: The folder to write.
    """
    from dsrl_lib.deploy.predict import predict

    done = predict(*trained.open(), sources, out, trained.tta)
    speed = done.written / max(done.seconds, 1e-9)
    print(f"{done.written} images in {done.seconds:.1f} s, {speed:.1f} images/s: {out}")
    if done.failed:
        raise ValueError("\n  ".join([f"{len(done.failed)} images could not be predicted:", *done.failed]))


def evaluate(trained: Trained, data: str, split: str = "val", out: PathIfGiven = None, workers: Workers = None) -> None:
    """Score weights on a split: IoU, precision and recall by class, mIoU, fwIoU, accuracy, cross entropy, trimap.

    Args:
        data: The data set: streets, camvid, cityscapes, kitti, voc, ... or one of your own (see data/README.md).
        split: train, val or test.
        out: A folder for scores.json, scores.csv, scores.txt and counts.npz.
    """
    from dsrl_lib.evaluation.report import check_out, report_text, split_report, write_report
    from dsrl_lib.training.machine import check_options
    from dsrl_lib.training.workers import default_workers, explained

    check_options(workers=workers)
    if out is not None:
        check_out(out)
    model, config = trained.open()
    where = next(model.parameters()).device
    loading = default_workers(config, where, devices=1) if workers is None else workers
    with explained():
        report = split_report(model, config, data, split, trained.tta, workers=loading)
    source = {"weights": str(trained.weights), "run": config.run_id, "data": data, "split": split}
    print(report_text(report, source, trained.tta), end="", flush=True)  # first: a full disk loses no score
    if out is not None:
        write_report(report, out, source, trained.tta)


def submit(images: tyro.conf.Positional[Path], trained: Trained, out: Path) -> None:
    """Write the zip for the Cityscapes server: label ids of all 1525 test images, checked before it appears.

    Args:
        images: The folder leftImg8bit/test.
        out: The zip to write.
    """
    from dsrl_lib.deploy.submit import submit

    print(f"{submit(*trained.open(), images, out, trained.tta)} label maps: {out}")


def prune(source: tyro.conf.Positional[Path], target: tyro.conf.Positional[Path], fold: bool = False) -> None:
    """Write what inference needs: no SISR head, no feature transform. Says sizes and MACs before and after.

    Args:
        source: Released weights (dsrl_whole-camvid), a run or its id, or a .safetensors file of this library.
        target: The .safetensors file to write.
        fold: Also fold batch norms into convolutions; logits then agree up to rounding instead of bit by bit.
    """
    from dsrl_lib.deploy.pretrained import weights_path
    from dsrl_lib.deploy.prune import prune

    for name, size in zip(("before", "after"), prune(weights_path(source), target, fold), strict=True):
        print(f"{name:7}{size.megabytes:8.2f} MB {size.parameters:>12,} parameters {size.macs / 1e6:>10.1f} M MACs")


def inspect(file: tyro.conf.Positional[Path]) -> None:
    """Print what a file of weights holds: configuration, classes, tensors, provenance.

    Args:
        file: Released weights (dsrl-camvid), a run or its id, or a .safetensors file of this library.
    """
    from dsrl_lib.deploy.describe import describe
    from dsrl_lib.deploy.pretrained import weights_path

    print(describe(weights_path(file)))


def summary(weights: tyro.conf.Positional[Weights], host: HostOfWeights = None, depth: int = 3) -> None:
    """Print the module tree with parameters and MACs of one frame.

    Args:
        depth: Levels of the tree to show.
    """
    from dsrl_lib.deploy.describe import summary
    from dsrl_lib.evaluation import cost

    model, config = _open(weights, host)
    print(summary(model.eval(), cost.example_input(config), depth))


def export(
    weights: tyro.conf.Positional[Weights],
    out: tyro.conf.Positional[Path],
    format: Literal["onnx", "torchscript", "pt2"] = "onnx",
    normalised: bool = False,
    host: HostOfWeights = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        tyro.conf.arg(help="Where a TorchScript or pt2 file runs; ONNX files run anywhere."),
    ] = "cpu",
) -> None:
    """Write a file for other programs: images of any number and size in, logits out, compared with PyTorch's.

    Args:
        out: The file to write: .onnx, .pt (TorchScript) or .pt2.
        format: Of the file.
        normalised: The file takes normalised float32 images; else uint8 RGB, and normalises them itself.
    """
    from dsrl_lib.deploy.export import OPSET, export
    from dsrl_lib.deploy.pretrained import weights_path

    if out.exists() and out.samefile(weights_path(weights)):
        raise ValueError(f"out = {out} is the file of weights, which would be lost; give another name")
    model, config = _open(weights, host)
    made = export(model, config, out, format, normalised, device)
    shapes = " and ".join("x".join(map(str, size)) for size in made.shapes)
    print(f"{out}: {format}{f', opset {OPSET}' if format == 'onnx' else ''}, {made.megabytes:.2f} MB, "
          f"device: {made.device}\n{made.inputs}\n"
          f"logits: (B, K, rH, rW) float32; up to {made.difference:.1e} of the largest one from PyTorch's, "
          f"at {shapes}")  # fmt: skip


def speed(
    weights: tyro.conf.Positional[Weights],
    sizes: tuple[str, ...] = (),
    batch: int = 8,
    seconds: float = 3.0,
    trace: PathIfGiven = None,
    host: HostOfWeights = None,
    device: Device = "auto",
    threads: Annotated[int | None, optional("INT", "as PyTorch")] = None,
) -> None:
    """Measure latency, throughput and peak memory by input size on this device.

    Args:
        sizes: Input sizes, height first, such as 180x240; the input of the run unless given.
        batch: Images at once for the throughput.
        seconds: How long each number is measured.
        trace: Also write a chrome trace of one frame (open it in chrome://tracing or Perfetto).
        threads: Threads of PyTorch on the CPU.
    """
    from dsrl_lib.deploy.speed import parse_size, speed_table

    wanted = [parse_size(size) for size in sizes]
    print(speed_table(*_open(weights, host, device), wanted, batch, seconds, trace, threads))


def _open(weights: Path, host: str | None, device: str = "cpu") -> tuple[Any, Any]:
    """The network of a file of weights, on a device, and its configuration."""
    from dsrl_lib.deploy.pretrained import from_pretrained
    from dsrl_lib.device import pick_device

    model, config = from_pretrained(weights, host)
    return model.to(pick_device(device)), config
