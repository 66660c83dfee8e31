"""The locations that a frame of a split is sampled at, if they do not come from the frame itself, and their error."""

import numpy as np
import torch
from torch import Tensor, nn

from dsrl_lib.config import Config, Downsampling
from dsrl_lib.data.normalise import normalise
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.evaluation.forward import network_input
from dsrl_lib.models.downsampling.downsampler import GIVEN
from dsrl_lib.models.downsampling.from_labels import label_locations, mean_locations, solved_locations
from dsrl_lib.models.downsampling.locations import unfolded, uniform_locations


def needs_split(config: Config) -> bool:
    """Whether a frame's locations come from its labels or from another frame, so that a picture alone has none."""
    return config.downsampling.locations in GIVEN or config.downsampling.swapped


def refuse_pictures(config: Config) -> None:
    """ValueError for a network that `needs_split`."""
    if needs_split(config):
        settings = config.downsampling
        raise ValueError(
            f"downsampling.locations = {settings.locations}, swapped = {settings.swapped}: they come from labels or "
            "another frame, and a picture alone has none; allowed: frames of a split, such as camvid:val"
        )


def given_locations(model: nn.Module, split: Split, index: int, config: Config) -> Tensor | None:
    """The locations that the network is given for a frame, (1, n, m, 2); None if it has its own.

    ValueError for swapped locations in a split of one frame.
    """
    if not needs_split(config):
        return None
    if config.downsampling.swapped:
        if len(split) < 2:
            raise ValueError("downsampling.swapped = True; allowed: False for a split of one frame")
        index = (index + len(split) // 2) % len(split)  # no frame keeps its own
    if config.downsampling.locations in GIVEN:
        rng = np.random.default_rng([config.seed, index])
        return label_locations(split.labels[index], config.downsampling, rng)[None]
    frame = network_input(split.images[index], config).to(next(model.parameters()).device)
    return unfolded(predicted_locations(model, frame))


def predicted_locations(model: nn.Module, frame: Tensor) -> Tensor:
    """What the auxiliary network says about a frame, (1, n, m, 2). frame: the plain input, uint8 (3, h, w)."""
    return model.downsampling.predicted(normalise(frame[None]))


@torch.no_grad()
def location_errors(model: nn.Module, frame: Tensor, label: np.ndarray, config: Config) -> tuple[float, float]:
    """How far the predicted and how far uniform locations lie from the solved ones of a frame.

    frame: the plain input, uint8 (3, h, w), on the model's device. label: (H, W).
    Root mean square over nodes and coordinates, in shares of the frame's sides.
    """
    solved = solved_locations(label, config.downsampling)  # (n, m, 2)
    predicted = predicted_locations(model, frame)[0].cpu()
    uniform = uniform_locations(tuple(solved.shape[:2]))
    return _distance(predicted, solved), _distance(uniform, solved)


def mean_grid_errors(dataset: str, settings: Downsampling) -> dict[str, float]:
    """How far the mean grid of the training frames lies from the solved ones, on `val` and `test`.

    The mean over frames of what `location_errors` measures: a network that predicts more than this mean is better.
    """
    mean = mean_locations(load_split(dataset, "train").labels, settings)  # (n, m, 2)
    errors = {}
    for name in ("val", "test"):
        grids = (solved_locations(label, settings) for label in load_split(dataset, name).labels)
        errors[name] = float(np.mean([_distance(mean, solved) for solved in grids]))
    return errors


def _distance(locations: Tensor, solved: Tensor) -> float:
    return (locations - solved).square().mean().sqrt().item()
