"""Commands about data sets: what training sees, statistics, propagated labels."""

# Every command is one call, and imports what it needs itself, so that --help loads no torch.

from pathlib import Path
from typing import Literal

import tyro

from dsrl_lib.commands import Changes


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
    from dsrl_lib.overrides import override_all
    from dsrl_lib.runs import read_config

    settings = override_all(read_config(config), changes)  # a mistake shows before torch is loaded

    from dsrl_lib.training.samples import write_samples

    print(f"{len(write_samples(settings, out, count, epoch))} samples: {out}")


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
