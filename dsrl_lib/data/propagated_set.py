"""A data set of propagated pairs, written as folders: any profile trains on it by its name."""

import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Annotated

import numpy as np
from PIL import Image

from dsrl_lib.allowed import at_least, check
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.images import find_pictures, read_picture
from dsrl_lib.data.propagation import TOLERANCE, FlowEstimator, flow_estimator, propagate
from dsrl_lib.data.sequences import LIST
from dsrl_lib.data.split import SPLITS, Split, load_split
from dsrl_lib.own_data import origin
from dsrl_lib.paths import CLASSES, MADE_FROM, DataError, check_folder
from dsrl_lib.progress import bar

SUFFIX = "_leftImg8bit"
"""Of Cityscapes' images, behind the name of the frame."""


class Video:
    """Frames on disk in the order of their numbers: the last digits of a name, the rest of which names the sequence.

    A sequence ends where a frame is missing, so that neighbours in it are neighbours in time.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"video = {folder}; allowed: the folder that holds the frames of the videos")
        self.paths: dict[str, Path] = {}
        by_sequence: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for picture in find_pictures([str(folder)]):
            name = picture.path.stem.removesuffix(SUFFIX)
            if numbered := re.fullmatch(r"(.*?)(\d+)", name):
                if name in self.paths:
                    both = f"{self.paths[name]} and {picture.path}"
                    raise DataError(f"{both} are frames of one name; give the frames of one video alone")
                by_sequence[numbered[1]].append((int(numbered[2]), name))
                self.paths[name] = picture.path
        self.place = {
            name: (frames, i)
            for found in by_sequence.values()
            for frames in _without_gaps(sorted(found))
            for i, name in enumerate(frames)
        }

    def beside(self, name: str, steps: int) -> list[str]:
        """The names of the frames that follow `name` without a gap, at most `steps`, the nearest first; if steps is
        negative, those before it."""
        frames, i = self.place[name]
        return frames[i + 1 : i + 1 + steps] if steps > 0 else frames[max(0, i + steps) : i][::-1]

    def after(self, name: str, steps: int) -> list[np.ndarray]:
        """The frames `beside` it."""
        return [read_picture(self.paths[found]) for found in self.beside(name, steps)]


def _without_gaps(numbered: list[tuple[int, str]]) -> Iterator[list[str]]:
    """Names of frames in the order of their numbers, cut where these jump by twice their usual step or more.

    A frame is missing there; or one name is used for several videos, as in Hamburg and Hanover of Cityscapes.
    """
    jumps = [after - before for (before, _), (after, _) in pairwise(numbered)]
    usual = max(1, median_low(jumps)) if jumps else 1  # of numbers that are times, no two steps need be equal
    cuts = [i for i, jump in enumerate(jumps, start=1) if jump >= 2 * usual]
    for start, end in pairwise([0, *cuts, len(numbered)]):
        yield [name for _, name in numbered[start:end]]


def write_propagated(
    dataset: str,
    video: Path,
    out: Path,
    *,
    steps: int = 1,
    flow: str = "dis",
    joint: bool = True,
    tolerance: float = TOLERANCE,
) -> Mapping[str, int]:
    """Write train, with its propagated pairs, val and test of a data set to the folder `out`; the frames of each split.

    video: a folder with the frames of the videos, under the names of the labelled ones and with the same numbering.
    steps: pairs on each side of a labelled frame, where the video has frames. flow: one of FLOWS. joint, tolerance: as
    for `propagate`. The folder appears whole or not at all. It names the published data set that its frames and labels
    are of: class table, size of frames and terms are those of that (`own_data.origin`).

    ValueError for an unknown flow, no steps or a tolerance below 0, and errors of `flow_estimator`. DataError if `out`
    holds files already, if the video holds none of the labelled frames, or if its frames are bad or of another size:
    all this before flow is estimated.
    """
    estimator = flow_estimator(flow)
    check("steps", steps, Annotated[int, at_least(1)])
    check("tolerance", tolerance, Annotated[float, at_least(0)])
    check_folder(out, "out")
    out = out.resolve()  # a link to an empty folder could not be replaced at the end
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} holds files already: choose another folder")
    splits = {split: load_split(dataset, split) for split in SPLITS}
    train, frames = splits["train"], Video(video)
    if not any(name in frames.place for name in train.names):
        raise DataError(f"{video} holds no frame of the train split of {dataset}, such as {train.names[0]}")
    if not joint:
        _keep_apart(splits, frames, steps)
    _check_video(train, frames, steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        written = {name: _write_split(split, partial / name) for name, split in splits.items()}
        written["train"] += _write_pairs(train, frames, partial / "train", steps, estimator, joint, tolerance)
        lines = dict.fromkeys(f"{name}\t{sequence}\n" for pairs in written.values() for name, sequence in pairs)
        (partial / LIST).write_text("".join(lines), "utf-8")
        (partial / CLASSES).write_text("".join(f"{name}\n" for name in class_table(dataset).classes), "utf-8")
        if source := origin(dataset):  # names alone match fewer classes of Cityscapes, and its terms go on
            (partial / MADE_FROM).write_text(f"{source}\n", "utf-8")
        partial.chmod(0o755)  # a temporary folder is private by default
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {split: len(pairs) for split, pairs in written.items()}


def _write_split(split: Split, folder: Path) -> list[tuple[str, str]]:
    for i, name in enumerate(bar(split.names, f"write {folder.name}", leave=False)):
        save_pair(folder, name, split.images[i], split.labels[i])
    return list(zip(split.names, split.sequences, strict=True))


def _keep_apart(splits: Mapping[str, Split], video: Video, steps: int) -> None:
    """DataError if label-only pairs would hold images that are not for training: those of val or test."""
    held_out = {name: split for split in ("test", "val") for name in splits[split].names}
    for name in splits["train"].names:
        for other in (*video.beside(name, steps), *video.beside(name, -steps)) if name in video.place else ():
            if split := held_out.get(other):
                raise DataError(
                    f"{other} is beside {name} of train and a frame of {split}: with labels alone propagated, its "
                    "image would be trained on; allowed: fewer steps, or joint propagation"
                )


def _check_video(split: Split, video: Video, steps: int) -> None:
    """Read all frames that are needed, before flow is estimated, which takes long. DataError for a bad one, for one of
    another size, and for a pair that would replace a frame of the split."""
    known = set(split.names)
    for i, name in enumerate(bar(split.names, "check", leave=False)):
        if name not in video.place:
            continue
        shape = split.images[i].shape
        for sign in (1, -1):
            for k, frame in enumerate(video.after(name, sign * steps), start=1):
                if frame.shape != shape:
                    size = " x ".join(map(str, shape[:2]))
                    raise DataError(f"frames beside {video.paths[name]} are not of the size of {name}, {size}")
                if (pair := _pair(name, sign * k)) in known:
                    raise DataError(f"train has a frame {pair}, which a pair would replace: is it propagated already?")


def _write_pairs(
    split: Split, video: Video, folder: Path, steps: int, flow: FlowEstimator, joint: bool, tolerance: float
) -> list[tuple[str, str]]:
    written = []
    for i, name in enumerate(bar(split.names, "propagate", leave=False)):
        for sign in (1, -1) if name in video.place else ():
            frames = [split.images[i], *video.after(name, sign * steps)]
            pairs = propagate(frames, split.labels[i], flow, joint=joint, tolerance=tolerance)
            for k, (image, labels) in enumerate(pairs, start=1):
                pair = _pair(name, sign * k)
                save_pair(folder, pair, image, labels)
                written.append((pair, split.sequences[i]))
    return written


def _pair(name: str, step: int) -> str:
    return f"{name}_step{step:+d}"


def save_pair(folder: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    """Write images/<name>.png, from uint8 (H, W, 3), and labels/<name>.png, from uint8 (H, W), below a folder."""
    for kind, pixels in (("images", image), ("labels", labels)):
        path = folder / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pixels)).save(path, compress_level=3)
