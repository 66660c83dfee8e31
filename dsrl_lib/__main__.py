"""The method's command line: ``python -m dsrl_lib COMMAND --help``."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dsrl_lib.commands import (
    Changes,
    Device,
    HostOfWeights,
    Machine,
    OnMachine,
    Start,
    Weights,
    finish,
    moved,
)
from dsrl_lib.evaluation.augmentation import TTA

app = tyro.extras.SubcommandApp()

Augmentation = Annotated[TTA, tyro.conf.arg(name="", help="Test-time augmentation.")]


@app.command
def train(
    config: tyro.conf.Positional[Path],
    changes: Changes = (),
    start: Start = None,
    machine: OnMachine = Machine(),  # noqa: B008
) -> None:
    """Train the run of a configuration and print its directory; a complete run is kept as it is.

    Args:
        config: A JSON file like config.json of a run; a setting that it lacks has its default.
    """
    from dsrl_lib.config import Config
    from dsrl_lib.overrides import override, override_all
    from dsrl_lib.runs import print_run, read_json

    settings = override_all(Config.from_dict(read_json(config)), changes)  # a mistake shows before torch is loaded

    from dsrl_lib.training.fit import fit

    if start is not None:
        if settings.warm_start is not None:
            raise ValueError(f"--start {start}, but {config} starts from the run {settings.warm_start}; allowed: one "
                             "of the two")  # fmt: skip
        from dsrl_lib.deploy.pretrained import weights_path
        from dsrl_lib.training.start import keep_weights

        settings = override(settings, "model.start", keep_weights(weights_path(start)))
    print_run(fit(settings, **asdict(machine)))


@app.command
def resume(
    run: tyro.conf.Positional[str],
    changes: Changes = (),
    machine: OnMachine = Machine(),  # noqa: B008
) -> None:
    """Continue a run that was cut off: exactly, or with changed settings as a new run that says so.

    Args:
        run: Directory or id of the run.
    """
    from dsrl_lib.runs import find_run, print_run
    from dsrl_lib.training.resume import resume

    print_run(resume(find_run(run), changes, **asdict(machine)))


@app.command
def samples(
    config: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    changes: Changes = (),
    count: int = 8,
    epoch: int = 0,
) -> None:
    """Write training samples of a configuration as pictures: input, HR image and labels, augmented as in training.

    Args:
        config: A JSON file like config.json of a run.
        out: The folder to write.
        count: How many samples, in the order of training.
        epoch: Their epoch, from 0.
    """
    from dsrl_lib.config import Config
    from dsrl_lib.overrides import override_all
    from dsrl_lib.runs import read_json

    settings = override_all(Config.from_dict(read_json(config)), changes)  # a mistake shows before torch is loaded

    from dsrl_lib.training.samples import write_samples

    print(f"{len(write_samples(settings, out, count, epoch))} samples: {out}")


@app.command
def statistics(data: tyro.conf.Positional[str], split: str = "train") -> None:
    """Print the mean and the standard deviation of the colours of a data set, in [0, 1].

    Args:
        data: The data set, as for evaluate.
        split: train, val or test.
    """
    from dsrl_lib.data.split import load_split
    from dsrl_lib.data.statistics import colour_statistics

    loaded = load_split(data, split)
    rows = zip(("mean", "std"), colour_statistics(loaded, progress=True), strict=True)
    print(f"{data} {split}, {len(loaded)} images: red, green, blue")
    for name, values in rows:
        print(f"{name:5}" + " ".join(f"{value:.5f}" for value in values))


@app.command
def predict(
    sources: tyro.conf.Positional[tuple[str, ...]],
    weights: Weights,
    out: Path,
    host: HostOfWeights = None,
    tta: Augmentation = TTA(),  # noqa: B008
    device: Device = "auto",
) -> None:
    """Predict images into DIR/{rgb,pred,compose,diff,sr}; a bad image is reported at the end (exit status 1).

    Args:
        sources: Images, folders, patterns, or dataset:split such as camvid:test.
        out: The folder to write.
    """
    from dsrl_lib.deploy.predict import predict

    model, config = _open(weights, host, device)
    done = predict(model, config, sources, out, tta)
    speed = done.written / max(done.seconds, 1e-9)
    print(f"{done.written} images in {done.seconds:.1f} s, {speed:.1f} images/s: {out}")
    if done.failed:
        raise ValueError("\n  ".join([f"{len(done.failed)} images could not be predicted:", *done.failed]))


@app.command
def evaluate(
    weights: Weights,
    data: str,
    split: str = "val",
    out: Path | None = None,
    host: HostOfWeights = None,
    tta: Augmentation = TTA(),  # noqa: B008
    device: Device = "auto",
) -> None:
    """Score weights on a split: IoU, precision and recall by class, mIoU, fwIoU, accuracy, cross entropy, trimap.

    Args:
        data: The data set: streets, camvid, cityscapes, kitti, voc, ... or one of your own (see data/README.md).
        split: train, val or test.
        out: A folder for scores.json, scores.csv, scores.txt and counts.npz.
    """
    from tempfile import TemporaryDirectory

    from dsrl_lib.evaluation.report import split_report, write_report
    from dsrl_lib.paths import check_folder

    check_folder(out or Path(), "--out")
    model, config = _open(weights, host, device)
    report = split_report(model, config, data, split, tta)
    source = {"weights": str(weights), "run": config.run_id, "data": data, "split": split}
    with TemporaryDirectory() as nowhere:
        print(write_report(report, out or Path(nowhere), source, tta), end="")


@app.command
def propagate(
    data: tyro.conf.Positional[str],
    video: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    steps: int = 1,
    flow: Literal["dis", "raft"] = "dis",
    label_only: bool = False,
    tolerance: float = 1.5,
) -> None:
    """Write a data set with more training pairs: labels, and images alike, warped to the neighbours of their frames.

    Args:
        data: The data set whose train split is propagated; val and test are copied.
        video: A folder with the frames of the videos, under the names of the labelled frames and numbered as they are.
        out: The folder to write; below the data folder its name is that of the data set.
        steps: Pairs on each side of a labelled frame.
        flow: Optical flow: dis of OpenCV (pip install opencv-python-headless), or raft of torchvision.
        label_only: The true neighbour with warped labels, instead of both warped.
        tolerance: Pixels by which forward and backward flow may disagree; what disagrees more is void.
    """
    from dsrl_lib.data.propagated_set import write_propagated

    made = write_propagated(data, video, out, steps=steps, flow=flow, joint=not label_only, tolerance=tolerance)
    print(f"{', '.join(f'{split} {frames}' for split, frames in made.items())} frames: {out}")


@app.command
def submit(
    images: tyro.conf.Positional[Path],
    weights: Weights,
    out: Path,
    host: HostOfWeights = None,
    tta: Augmentation = TTA(),  # noqa: B008
    device: Device = "auto",
) -> None:
    """Write the zip for the Cityscapes server: label ids of all 1525 test images, checked before it appears.

    Args:
        images: The folder leftImg8bit/test.
        out: The zip to write.
    """
    from dsrl_lib.deploy.submit import submit

    model, config = _open(weights, host, device)
    print(f"{submit(model, config, images, out, tta)} label maps: {out}")


@app.command
def prune(source: tyro.conf.Positional[Path], target: tyro.conf.Positional[Path], fold: bool = False) -> None:
    """Write what inference needs: no SISR head, no feature transform. Says sizes and MACs before and after.

    Args:
        source: Released weights (dsrl-camvid), a run or its id, or a .safetensors file of this library.
        target: The .safetensors file to write.
        fold: Also fold batch norms into convolutions; logits then agree up to rounding instead of bit by bit.
    """
    from dsrl_lib.deploy.pretrained import weights_path
    from dsrl_lib.deploy.prune import prune

    for name, size in zip(("before", "after"), prune(weights_path(source), target, fold), strict=True):
        print(f"{name:7}{size.megabytes:8.2f} MB {size.parameters:>12,} parameters {size.macs / 1e6:>10.1f} M MACs")


@app.command
def inspect(file: tyro.conf.Positional[Path]) -> None:
    """Print what a file of weights holds: configuration, classes, tensors, provenance.

    Args:
        file: Released weights (dsrl-camvid), a run or its id, or a .safetensors file of this library.
    """
    from dsrl_lib.deploy.describe import describe
    from dsrl_lib.deploy.pretrained import weights_path

    print(describe(weights_path(file)))


@app.command
def summary(weights: tyro.conf.Positional[Weights], host: HostOfWeights = None, depth: int = 3) -> None:
    """Print the module tree with parameters and MACs of one frame.

    Args:
        depth: Levels of the tree to show.
    """
    from dsrl_lib.deploy.describe import summary
    from dsrl_lib.evaluation import cost

    model, config = _open(weights, host)
    print(summary(model.eval(), cost.example_input(config), depth))


@app.command
def export(
    weights: tyro.conf.Positional[Weights],
    out: tyro.conf.Positional[Path],
    format: Literal["onnx", "torchscript", "pt2"] = "onnx",
    normalised: bool = False,
    host: HostOfWeights = None,
) -> None:
    """Write a file for other programs: images of any number and size in, logits out, compared with PyTorch's.

    Args:
        out: The file to write: .onnx, .pt (TorchScript) or .pt2.
        format: Of the file.
        normalised: The file takes normalised float32 images; else uint8 RGB, and normalises them itself.
    """
    from dsrl_lib.deploy.export import OPSET, SHAPES, SMALLEST, export

    model, config = _open(weights, host)
    made = export(model, config, out, format, normalised)
    shapes = " and ".join("x".join(map(str, size)) for size in SHAPES)
    print(f"{out}: {format}{f', opset {OPSET}' if format == 'onnx' else ''}, {made.megabytes:.2f} MB\n"
          f"{made.inputs}, sides from {SMALLEST} pixels\n"
          f"logits: (B, K, rH, rW) float32; up to {made.difference:.1e} of the largest one from PyTorch's, "
          f"at {shapes}")  # fmt: skip


@app.command
def speed(
    weights: tyro.conf.Positional[Weights],
    sizes: tuple[str, ...] = (),
    batch: int = 8,
    seconds: float = 3.0,
    trace: Path | None = None,
    host: HostOfWeights = None,
    device: Device = "auto",
    threads: int | None = None,
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


def _open(weights: Path, host: str | None, device: str = "cpu") -> tuple:
    """The network of a file of weights, on a device, and its configuration."""
    from dsrl_lib.deploy.pretrained import from_pretrained
    from dsrl_lib.device import pick_device

    model, config = from_pretrained(weights, host)
    return model.to(pick_device(device)), config


def main() -> int:
    """Exit status: 0 done, 1 an error that a message explains, 2 a wrong option, 130 stopped."""
    if now := moved(sys.argv[1:]):
        print(f"error: python -m dsrl_lib {sys.argv[1]} is now: {now}", file=sys.stderr)
        return 2
    prog = "dsrl" if Path(sys.argv[0]).stem == "dsrl" else "python -m dsrl_lib"
    return finish(lambda: app.cli(prog=prog, description=__doc__))


if __name__ == "__main__":
    sys.exit(main())
