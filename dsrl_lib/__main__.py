"""Command line: ``python -m dsrl_lib COMMAND --help``. Every command is one function call; imports are lazy."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dsrl_lib.view import View

app = tyro.extras.SubcommandApp()
Repeated = tyro.conf.UseAppendAction


@app.command
def train(
    arm: str,
    profile: str = "smoke",
    host: str | None = None,
    seed: int = 0,
    set_: Annotated[Repeated[tuple[str, ...]], tyro.conf.arg(name="set", metavar="SECTION.KEY=VALUE")] = (),
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> None:
    """Train one arm to a complete run directory and print it; a complete run is returned at once.

    Args:
        arm: The arm, as in study tables: lr, bilinear, sssr, sssr_sisr, dsrl, ...
        profile: smoke, camvid or cityscapes.
        host: Host network; the profile's own unless given.
        seed: Seed of the initial weights and of the data order.
        set_: Another value for one setting; may be repeated.
        device: Where to train.
        workers: Processes that load samples; results do not depend on them.
    """
    from dsrl_lib.presets import preset

    config = preset(profile, arm, host, seed, set_)  # a mistake shows before torch is loaded

    from dsrl_lib.train import train

    print(train(config, device=device, workers=workers))


@app.command
def resume(
    run: tyro.conf.Positional[str],
    set_: Annotated[Repeated[tuple[str, ...]], tyro.conf.arg(name="set", metavar="SECTION.KEY=VALUE")] = (),
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> None:
    """Go on with a run that was cut off: exactly, or with changed settings as a new run that says so.

    Args:
        run: Directory or id of the run.
        set_: Another value for one setting of the schedule or the loss; may be repeated.
        device: Where to train.
        workers: Processes that load samples; results do not depend on them.
    """
    from dsrl_lib.manage import find_run, resume

    print(resume(find_run(run), set_, device=device, workers=workers))


@app.command
def runs(
    profile: str = "smoke",
    compare: tuple[str, str] | None = None,
    delete: str | None = None,
    yes: bool = False,
) -> None:
    """List the runs of a profile, compare two, or delete one.

    Args:
        profile: smoke, camvid or cityscapes.
        compare: Two runs (directory or id): the settings in which they differ, and their scores.
        delete: A run to delete; asks first.
        yes: Delete without asking.
    """
    from dsrl_lib import manage

    if compare:
        print(manage.compare(*map(manage.find_run, compare)))
    elif delete:
        directory = manage.find_run(delete)
        if yes or input(f"delete {directory}? [y/N] ").strip().lower() in ("y", "yes"):
            manage.delete(directory)
            print(f"deleted {directory.name}")
        else:
            raise ValueError("nothing was deleted")
    else:
        print(manage.table(profile))


@app.command
def predict(
    sources: tyro.conf.Positional[tuple[str, ...]],
    weights: Path,
    out: Path,
    host: str | None = None,
    view: Annotated[View, tyro.conf.arg(name="")] = View(),  # noqa: B008
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Predict images into DIR/{rgb,pred,compose,diff,sr}; a bad image is reported at the end (exit status 1).

    Args:
        sources: Images, folders, patterns, or dataset:split such as camvid:test.
        weights: A run directory, a .safetensors file of this library, or a published .pth state dict.
        out: The folder to write.
        host: The network of a .pth file, such as espnetv2_s2.0.
        view: How each image is looked at.
        device: Where to run.
    """
    from dsrl_lib.predict import predict
    from dsrl_lib.train import pick_device
    from dsrl_lib.weights import open_weights

    model, config = open_weights(weights, host)
    done = predict(model.to(pick_device(device)), config, sources, out, view)
    speed = done.written / max(done.seconds, 1e-9)
    print(f"{done.written} images in {done.seconds:.1f} s, {speed:.1f} images/s: {out}")
    if done.failed:
        raise ValueError("\n  ".join([f"{len(done.failed)} images could not be predicted:", *done.failed]))


@app.command
def evaluate(
    weights: Path,
    data: str,
    split: str = "val",
    out: Path | None = None,
    host: str | None = None,
    view: Annotated[View, tyro.conf.arg(name="")] = View(),  # noqa: B008
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Score weights on a split: IoU, precision and recall by class, mIoU, fwIoU, accuracy, cross entropy, trimap.

    Args:
        weights: A run directory, a .safetensors file of this library, or a published .pth state dict.
        data: The data set: streets, camvid or cityscapes.
        split: train, val or test.
        out: A folder for scores.json, scores.csv, scores.txt and counts.npz.
        host: The network of a .pth file, such as espnetv2_s2.0.
        view: How each image is looked at.
        device: Where to run.
    """
    from tempfile import TemporaryDirectory

    from dsrl_lib.scoring import score_split, write_scores
    from dsrl_lib.train import pick_device
    from dsrl_lib.weights import open_weights

    model, config = open_weights(weights, host)
    scored = score_split(model.to(pick_device(device)), config, data, split, view)
    source = {"weights": str(weights), "run": config.run_id, "data": data, "split": split}
    with TemporaryDirectory() as nowhere:
        print(write_scores(scored, out or Path(nowhere), source, view), end="")


@app.command
def submit(
    images: tyro.conf.Positional[Path],
    weights: Path,
    out: Path,
    host: str | None = None,
    view: Annotated[View, tyro.conf.arg(name="")] = View(),  # noqa: B008
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Write the zip for the Cityscapes server: label ids of all 1525 test images, checked before it appears.

    Args:
        images: The folder leftImg8bit/test.
        weights: A run directory, a .safetensors file of this library, or a published .pth state dict.
        out: The zip to write.
        host: The network of a .pth file, such as espnetv2_s2.0.
        view: How each image is looked at.
        device: Where to run.
    """
    from dsrl_lib.submit import submit
    from dsrl_lib.train import pick_device
    from dsrl_lib.weights import open_weights

    model, config = open_weights(weights, host)
    print(f"{submit(model.to(pick_device(device)), config, images, out, view)} label maps: {out}")


@app.command
def prune(source: tyro.conf.Positional[Path], target: tyro.conf.Positional[Path], fold: bool = False) -> None:
    """Write what inference needs: no SISR head, no feature transform. Says sizes and MACs before and after.

    Args:
        source: A run directory or a file of weights.
        target: The .safetensors file to write.
        fold: Also fold batch norms into convolutions; logits then agree up to rounding instead of bit by bit.
    """
    from dsrl_lib.weights import prune

    for name, size in zip(("before", "after"), prune(source, target, fold), strict=True):
        print(f"{name:7}{size.megabytes:8.2f} MB {size.parameters:>12,} parameters {size.macs / 1e6:>10.1f} M MACs")


@app.command
def inspect(file: tyro.conf.Positional[Path]) -> None:
    """Print what a file of weights (or a run directory) holds: configuration, classes, tensors, provenance."""
    from dsrl_lib.weights import describe

    print(describe(file))


@app.command
def summary(weights: tyro.conf.Positional[Path], host: str | None = None, depth: int = 3) -> None:
    """Print the module tree with parameters and MACs of one frame.

    Args:
        weights: A run directory, a .safetensors file of this library, or a published .pth state dict.
        host: The network of a .pth file, such as espnetv2_s2.0.
        depth: Levels of the tree to show.
    """
    from dsrl_lib import cost
    from dsrl_lib.weights import open_weights, summary

    model, config = open_weights(weights, host)
    print(summary(model.eval(), cost.example_input(config), depth))


@app.command
def speed(
    weights: tyro.conf.Positional[Path],
    sizes: tuple[str, ...] = (),
    batch: int = 8,
    seconds: float = 3.0,
    trace: Path | None = None,
    host: str | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int | None = None,
) -> None:
    """Measure latency, throughput and peak memory by input size on this device.

    Args:
        weights: A run directory, a .safetensors file of this library, or a published .pth state dict.
        sizes: Input sizes, height first, such as 180x240; the input of the run unless given.
        batch: Images at once for the throughput.
        seconds: How long each number is measured.
        trace: Also write a chrome trace of one frame (open it in chrome://tracing or Perfetto).
        host: The network of a .pth file, such as espnetv2_s2.0.
        device: Where to run.
        threads: Threads of PyTorch on the CPU.
    """
    import torch

    from dsrl_lib.bench.speed import parse_size, speed
    from dsrl_lib.cost import device_name, example_input
    from dsrl_lib.train import pick_device
    from dsrl_lib.weights import open_weights

    wanted = [parse_size(size) for size in sizes]
    if threads:
        torch.set_num_threads(threads)
    model, config = open_weights(weights, host)
    wanted = wanted or [tuple(example_input(config).shape[2:])]
    model = model.eval().prune().to(pick_device(device), memory_format=torch.channels_last)
    print(f"{config.model.host}, {config.arm}, pruned, {config.optim.precision}; {device_name(pick_device(device))}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    print(speed(model, config, wanted, batch, seconds, trace).to_string(float_format=lambda value: f"{value:.2f}"))


@app.command
def plan(profile: str = "smoke") -> None:
    """Print the runs of a profile, one training command a line, each after the run it starts from."""
    from dsrl_lib import plan

    for run in plan.runs(profile):
        print(plan.command(run))


@app.command
def collect(profile: str = "smoke") -> None:
    """Write results.csv of a profile from its run directories."""
    from dsrl_lib.analysis.results import write_results

    print(write_results(profile))


@app.command
def claims(profile: str = "camvid") -> None:
    """Judge every claim by the rules of claims.toml; write claims.csv, and the tables in README.md and REPORT.md."""
    from dsrl_lib.analysis.claims_table import write_claims
    from dsrl_lib.analysis.comparisons import Study
    from dsrl_lib.analysis.texts import write_texts

    study = Study(profile)
    for path in (write_claims(profile, list(study.verdicts.values())), *write_texts(study)):
        print(path)


@app.command
def bench(what: Literal["all", "affinity", "training", "loader", "pruning"] = "all", threads: int = 2) -> None:
    """Print speeds as ratios against a named rival, measured in this run.

    Args:
        what: Feature affinity against the direct form, training images/s by host, loading against decoding, or
            pruned against full networks.
        threads: Threads of PyTorch.
    """
    from dsrl_lib.bench.report import report

    report(what, threads)


@app.command
def execute(
    notebook: tyro.conf.Positional[str],
    output: tyro.conf.Positional[str],
    parameter: Annotated[Repeated[tuple[tuple[str, str], ...]], tyro.conf.arg(aliases=["-p"])] = (),
) -> None:
    """Execute a notebook with papermill, strictly: an unknown parameter is an error.

    Args:
        notebook: The notebook to read.
        output: Where the executed notebook goes.
        parameter: Name and value of one parameter; may be repeated.
    """
    from dsrl_lib.execute import execute

    execute(notebook, output, dict(parameter))


def main() -> int:
    """Exit status: 0 done, 1 an error that a message explains, 2 a wrong option."""
    try:
        app.cli(prog="python -m dsrl_lib", description=__doc__)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
