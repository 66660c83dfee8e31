"""One frame through a network: its input, the forward pass, and the classes at the size of the label map."""

import numpy as np
import torch
from torch import Tensor, nn

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.transforms import evaluation_input, frame_size
from dsrl_lib.device import autocast
from dsrl_lib.models.sizes import resized


def network_input(image: np.ndarray, config: Config, scale: float = 1) -> Tensor:
    """The input of an image, uint8 (H0, W0, 3), at a scale of its HR size (`frame_size`): uint8 (3, h, w).

    ValueError as `check_size`.
    """
    check_size(image.shape[:2], config, scale)
    return evaluation_input(image, *frame_size(image.shape[:2], config.data, scale), config.frame_scale)


def check_size(stored: tuple[int, int], config: Config, scale: float = 1) -> None:
    """ValueError if the network would see no pixel of a frame stored as (H0, W0), as it is so thin or scaled down."""
    if not all(round(side * config.frame_scale) for side in frame_size(stored, config.data, scale)):
        raise ValueError(f"of {stored[0]} x {stored[1]} pixels (height x width), brought to {config.data.height} rows, "
                         f"scale {scale:g} leaves no input")  # fmt: skip


def check_classes(model: nn.Module, config: Config) -> None:
    """ValueError unless a network has as many classes as the data set of `config`, which names and colours them.

    TypeError for a network that is no `DSRL`.
    """
    table = class_table(config.data.dataset)
    if not hasattr(getattr(model, "host", None), "classes"):
        raise TypeError(f"a {type(model).__name__} is no DSRL; put it into one: "
                        "DSRL(NamedLayers(network, low=..., deep=..., classifier=...), sssr=False)")  # fmt: skip
    if model.host.classes != len(table.classes):
        raise ValueError(f"data.dataset = {config.data.dataset!r} has {len(table.classes)} classes, the network "
                         f"{model.host.classes}; allowed: a data set with the network's classes")  # fmt: skip


def forward(model: nn.Module, frame: Tensor, config: Config, locations: Tensor | None = None) -> dict[str, Tensor]:
    """The network on one uint8 frame (3, h, w) in the precision of the run; outputs as in `DSRL.forward`.

    locations: (1, n, m, 2), for a network that samples the frame where it is told to (`given_locations`).
    """
    given = () if locations is None else (locations.to(frame.device),)
    with autocast(frame.device, config.optim.precision):
        return model(normalise(frame[None]).contiguous(memory_format=torch.channels_last), *given)


def class_ids(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Logits of one image, (1, K, h, w) -> class ids uint8 (H, W) at `size`: resized before the arg-max."""
    return resized(logits.float(), size).argmax(1)[0].to(torch.uint8).cpu().numpy()  # (H, W)
