"""A trained network as one file for other programs: ONNX, TorchScript, or PyTorch's own exported program.

The file takes RGB images of any number and size and gives the logits that the study scores, pruned, in float32.
It is compared with the network before it appears. TorchScript and pt2 files run where they were made, on the CPU or on
a GPU: the device is written into them.
"""

import copy
import io
import json
import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
import torch.fx.experimental._config
from torch import Tensor, nn

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.normalise import normalise
from dsrl_lib.device import pick_device
from dsrl_lib.evaluation.forward import check_classes
from dsrl_lib.evaluation.given_locations import needs_split
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.sizes import LEAST_SIDE
from dsrl_lib.normalisation import MEAN, STD
from dsrl_lib.paths import check_file
from dsrl_lib.records import write_atomically

Format = Literal["onnx", "torchscript", "pt2"]
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""Of the extra `export`: the format onnx alone needs them."""
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torchscript": ".pt", "pt2": ".pt2"}
OPSET = 18
INPUT, OUTPUT = "images", "logits"
TOLERANCE = 1e-3
"""Largest difference of the logits, as a share of the largest one: other runtimes add up in another order."""
SHAPES = ((2, 3, 128, 192), (1, 3, 75, 101))
"""Shapes of the host's input at which a file is compared with the network; it is recorded at the first."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    inputs: str
    """What the file takes."""
    device: str
    """Where it runs: "cpu", "cuda" or, of the format onnx, "any"."""
    shapes: tuple[tuple[int, ...], ...]
    """Shapes of the images at which it was compared with the network."""
    difference: float
    """Largest difference of its logits to the network's there, as a share of the largest one."""
    megabytes: float


class ForExport(nn.Module):
    """Images -> logits. normalised: they come normalised, float32; else as uint8 RGB."""

    def __init__(self, network: DSRL, normalised: bool) -> None:
        super().__init__()
        self.network, self.normalised = network.eval().prune(), normalised

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images if self.normalised else normalise(images))["logits"]  # (B, K, rH, rW), r is 1 or 2


@torch.no_grad()
def export(
    network: DSRL,
    config: Config,
    target: str | Path,
    format: Format,
    normalised: bool = False,
    device: str = "cpu",
) -> Exported:
    """Write a copy of `network` to `target`, with open batch, height and width; compare their logits.

    normalised: the file takes float32 images that are normalised already; else uint8 RGB, and it normalises them.
    device: where the file runs; one of the format onnx runs anywhere, and is made on the CPU.
    ValueError for an unknown format, a suffix that does not say it, a device that is not here, or another number of
    classes than the data set of `config`, whose names go into the file; RuntimeError, and no file, if its logits
    differ, and for the format onnx without PACKAGES.
    """
    target = Path(target)
    if format not in SUFFIXES:
        raise ValueError(f"format = {format!r}; allowed: {', '.join(SUFFIXES)}")
    if target.suffix != SUFFIXES[format]:
        raise ValueError(f"{target}: a file of format {format} ends in {SUFFIXES[format]}")
    if needs_split(config):
        setting = "swapped" if config.downsampling.swapped else "locations"
        raise ValueError(
            f"downsampling.{setting} = {getattr(config.downsampling, setting)} cannot be exported: such locations come "
            "from the labels of a frame or from another frame, and a file sees images alone; allowed: none, uniform, "
            "mean, predicted, not swapped"
        )
    check_classes(network, config)
    check_file(target, "out")
    for package in PACKAGES if format == "onnx" else ():
        if find_spec(package) is None:
            raise RuntimeError(f"format = 'onnx' needs {package}: pip install {' '.join(PACKAGES)}")
    where = torch.device("cpu") if format == "onnx" else pick_device(device)
    wrapped = ForExport(copy.deepcopy(network).to(where).float(), normalised)
    shapes = tuple((*shape[:2], *(_side(network, length) for length in shape[2:])) for shape in SHAPES)
    inputs = [_images(shape, normalised).to(where) for shape in shapes]
    found: list[float] = []

    def write(temporary: Path) -> None:
        with warnings.catch_warnings():  # of PyTorch about its own parts, and of constants that are meant to be ones
            warnings.simplefilter("ignore")
            run = _WRITERS[format](wrapped, inputs[0], temporary, _metadata(config, normalised))
        for images in inputs:
            expected = wrapped(images)
            found.append((run(images) - expected).abs().max().item() / expected.abs().max().item())
        if not all(difference <= TOLERANCE for difference in found):  # NaN too
            raise RuntimeError(
                f"the {format} file differs from the network by {max(found):.2g} of the largest logit, more than "
                f"{TOLERANCE}; {target} was not written"
            )

    write_atomically(target, write)
    kind = "float32 images, normalised" if normalised else "uint8 RGB images"
    takes = f"{INPUT}: {kind}, (B, 3, H, W), sides from {_side(network, LEAST_SIDE)} pixels"
    runs_on = "any" if format == "onnx" else where.type
    return Exported(takes, runs_on, shapes, max(found), target.stat().st_size / 1e6)


def _side(network: DSRL, length: int) -> int:
    """The side of an image of which the host sees at least `length` pixels."""
    return length if network.downsampling is None else math.ceil(length / network.downsampling.scale)


def _images(shape: tuple[int, ...], normalised: bool) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return normalise(images) if normalised else images


def _metadata(config: Config, normalised: bool) -> dict[str, str]:
    return {
        "config": json.dumps(config.to_dict(), sort_keys=True),
        "classes": json.dumps(class_table(config.data.dataset).classes),
        "normalisation": json.dumps({"mean": MEAN, "std": STD, "inside": not normalised}),
    }


Run = Callable[[Tensor], Tensor]


def _open_sizes(wrapped: ForExport) -> tuple[dict[int, torch.export.Dim]]:
    Dim, smallest = torch.export.Dim, _side(wrapped.network, LEAST_SIDE)
    return ({0: Dim("batch", min=1), 2: Dim("height", min=smallest), 3: Dim("width", min=smallest)},)


def _program(wrapped: ForExport, images: Tensor) -> torch.export.ExportedProgram:
    # Otherwise a map of one pixel at the size of recording, such as a coarse pyramid's, would hold for all sizes.
    with torch.fx.experimental._config.patch(backed_size_oblivious=True):
        return torch.export.export(
            wrapped, (images,), dynamic_shapes=_open_sizes(wrapped), prefer_deferred_runtime_asserts_over_guards=True
        )


def _onnx(wrapped: ForExport, images: Tensor, path: Path, metadata: dict[str, str]) -> Run:
    import onnxruntime

    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it tells what it did not optimise
    program = torch.onnx.export(
        _program(wrapped, images),
        dynamic_shapes=_open_sizes(wrapped),  # for the names
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=OPSET,
        verbose=False,
    )
    for node in program.model.graph:
        node.metadata_props.clear()  # where in the source it comes from: twice the size of the weights
    program.model.metadata_props.update(metadata)
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])


def _torchscript(wrapped: ForExport, images: Tensor, path: Path, metadata: dict[str, str]) -> Run:
    content = io.BytesIO()  # written by PyTorch itself, a full disk would end the process
    torch.jit.save(torch.jit.trace(wrapped, images, check_trace=False), content, _extra_files=metadata)
    path.write_bytes(content.getbuffer())
    return torch.jit.load(str(path))


def _pt2(wrapped: ForExport, images: Tensor, path: Path, metadata: dict[str, str]) -> Run:
    content = io.BytesIO()  # as above; by name, PyTorch wants the suffix that the file has not got yet
    torch.export.save(_program(wrapped, images), content, extra_files=metadata)
    path.write_bytes(content.getbuffer())
    with path.open("rb") as file:
        return torch.export.load(file).module()


_WRITERS = {"onnx": _onnx, "torchscript": _torchscript, "pt2": _pt2}
