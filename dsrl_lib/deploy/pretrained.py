"""Open any weights: of a run directory, a file of this library, or a published state dict."""

import pickle
from pathlib import Path

from dsrl_lib import network
from dsrl_lib.config import Config, Data, Model, override
from dsrl_lib.data.class_tables import CITYSCAPES
from dsrl_lib.models.build import build_host
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import results_dir

FILE = "final.safetensors"
PUBLISHED_INPUT = {"512x256": (256, 512), "1024x512": (512, 1024)}
"""In the names of published ESPNetv2 files: height and width of their training images."""
FULL, CROP = (1024, 2048), (768, 1536)
"""Frames of Cityscapes, and the windows of other published files in sliding prediction."""


def from_pretrained(name_or_path: str | Path, host: str | None = None) -> tuple[DSRL, Config]:
    """The network and configuration of a path (`open_weights`) or of a run id, such as
    `camvid-espnetv2_s1.0-dsrl-s0-e7371bf7`. FileNotFoundError if there is neither, or if the run came without weights.
    """
    path = Path(name_or_path)
    runs = [] if path.exists() else list(results_dir().glob(f"*/runs/{path.name}"))
    return open_weights(runs[0] if runs else path, host)


def open_weights(path: Path, host: str | None = None) -> tuple[DSRL, Config]:
    """The network and configuration of a run directory, a file that this library wrote, or a published state dict.

    host: needed for a `.pth` state dict, which does not say what it is; nothing in it is executed. ValueError with the
    keys that differ if a file does not fit, FileNotFoundError if there is none.
    """
    if path.is_dir():
        path = path / FILE
    if not path.exists():
        raise FileNotFoundError(f"weights {path} do not exist")
    if path.suffix == ".pth":
        return _published(path, host)
    return network.load(path)


def _published(path: Path, host: str | None) -> tuple[DSRL, Config]:
    """A network with the Cityscapes classes, and a configuration that evaluates it on input of HR size."""
    if host is None:
        raise ValueError(f"{path} is a plain state dict: say which network it is with --host, such as espnetv2_s2.0")
    size = next((size for name, size in PUBLISHED_INPUT.items() if name in path.stem), None)
    data = Data("cityscapes", *(size or FULL), *(size or CROP))
    config = override(Config("published", "hr", data=data, model=Model(input_scale=1.0)), "model.host", host)
    try:
        model = build_host(host, len(CITYSCAPES.classes), path, rows=range(len(CITYSCAPES.classes)))
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a state dict that can be read safely: {error}") from None
    return DSRL(model, sssr=False), config
