"""Moving streets: short videos of the procedural scenes, in each of which one frame is labelled.

The frames of train have the same names in all of these data sets. They differ in what stands for the frames beside the
labelled one: the labelled frame again (`one`), pairs propagated from it, or the true frames with their labels (`true`).
So an arm trained on one of them has the updates and the random draws of every other. val and test are single frames of
other scenes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dsrl_lib.data.frames import Frame, read_image, read_label
from dsrl_lib.data.made import made
from dsrl_lib.data.readers import cityscapes
from dsrl_lib.data.readers.streets import streets
from dsrl_lib.paths import cache_dir
from dsrl_lib.progress import bar

STEPS = 3
"""Frames on each side of the labelled one."""
VIDEOS: Mapping[str, int] = {"train": 8}
STILLS: Mapping[str, int] = {"val": 24, "test": 96}
VERSION = 1
"""Of the propagated pairs: to be raised when other pixels come out."""
PROPAGATED = ("joint", "labels", "exact", "shuffled")
"""joint: image and labels, warped by optical flow (DIS). labels: the true image with these labels. exact: joint, by the
exact motion. shuffled, a control: joint, by the optical flow of another video."""


def frames(root: Path, split: str, way: str) -> list[Frame]:
    """The frames of a split. root: not read, all is drawn into the cache. way: "one", "true" or one of PROPAGATED.

    RuntimeError that says what to install, where optical flow is needed and OpenCV is missing.
    """
    if split != "train":
        return _drawn("stills", split, STILLS)
    length = 2 * STEPS + 1
    shown = _drawn("video", split, VIDEOS, length)
    if way == "true":
        return shown
    clips = [shown[i : i + length] for i in range(0, len(shown), length)]
    if way == "one":
        return [replace(clip[STEPS], name=frame.name) for clip in clips for frame in clip]
    pairs, table = _propagated(way, clips), cityscapes.TABLES["labelTrainIds.png"]
    found = []
    for clip in clips:
        for frame in clip:
            image, label = (pairs / kind / f"{frame.name}.png" for kind in ("images", "labels"))
            labelled = frame is clip[STEPS]
            found.append(frame if labelled else replace(frame, image=image, label=label, table=table))
    return found


def _folder() -> Path:
    """Of the pixels of these videos: a change of the scenes, of the pairs, or of the numbers above, needs others."""
    numbers = f"{VIDEOS['train']}x{2 * STEPS + 1}-{STILLS['val']}-{STILLS['test']}"
    return cache_dir() / f"moving-v{streets.VERSION}.{VERSION}-{numbers}"


def _drawn(name: str, split: str, images: Mapping[str, int], length: int = 1) -> list[Frame]:
    root = made(_folder() / name, lambda folder: streets.write(folder, images=images, frames=length))
    return [replace(frame, drawn=("image", "label")) for frame in cityscapes.frames(root, split)]


def _propagated(way: str, clips: Sequence[Sequence[Frame]]) -> Path:
    """The folder of the propagated pairs, written if it is missing."""

    def write(folder: Path) -> None:
        from dsrl_lib.data.propagated_set import save_pair  # lazy: a list of frames needs no torch

        for i in bar(range(len(clips)), f"propagate {way}", leave=False):
            for name, image, labels in _pairs(way, clips, i):
                save_pair(folder, name, image, labels)

    return made(_folder() / way, write)


def _pairs(way: str, clips: Sequence[Sequence[Frame]], number: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, images and labels of the pairs of one video, from its middle frame to both ends."""
    from dsrl_lib.data.propagation import carried, flow_estimator, motions

    labels = read_label(clips[number][STEPS])
    flows: Iterator[tuple[np.ndarray, np.ndarray]]
    for order in (range(STEPS, 2 * STEPS + 1), range(STEPS, -1, -1)):
        images = [read_image(clips[number][i]) for i in order]
        if way == "exact":
            known = {"index": number, "height": labels.shape[0], "width": labels.shape[1]}
            flows = ((streets.flow(i, STEPS, **known), streets.flow(STEPS, i, **known)) for i in order[1:])
        else:
            other = (number + 1) % len(clips) if way == "shuffled" else number
            flows = motions([read_image(clips[other][i]) for i in order], flow_estimator("dis"))
        pairs = carried(images, labels, flows, joint=way != "labels")
        for i, (image, found) in zip(order[1:], pairs, strict=True):
            yield clips[number][i].name, image, found
