"""Predictions of a trained network as files, for any pictures: colours, ids, overlay, errors, reconstruction.

A picture is brought to the same size as in evaluation (`transforms.frame_size`): the prediction of a frame is the one
that `evaluate` counts.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import VOID, ClassTable, class_table, colourise
from dsrl_lib.data.frames import DataError, image_size
from dsrl_lib.data.images import find_pictures, read_picture
from dsrl_lib.data.made_pictures import is_made, write_picture
from dsrl_lib.data.normalise import to_pixels
from dsrl_lib.data.split import SPLITS, Split, load_split
from dsrl_lib.deploy.memory import Room
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.forward import check_classes, class_ids, forward, network_input
from dsrl_lib.evaluation.given_locations import given_locations, needs_split, refuse_pictures
from dsrl_lib.evaluation.tta import image_output
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import check_folder
from dsrl_lib.progress import bar

KINDS = {
    "rgb": "classes in their colours",
    "pred": "class ids as the data set stores them: official label ids for the Cityscapes classes",
    "compose": "the colours over the image",
    "diff": "errors in the colour of what was predicted, in white where that is black; if the truth is known",
    "sr": "the reconstruction, if the network has a SISR branch",
}
ALWAYS = ("rgb", "pred", "compose")
"""Those that are made of every picture."""
BLEND = 0.5
COMMAND = "predict"
"""By which a later call knows the files that it wrote (`made_pictures`)."""
WRITERS = 4
"""Threads that encode and write pictures while the next one is predicted: it takes longer than the network on a GPU."""
AHEAD = 32_000_000
"""Pixels that wait to be written at most; a larger picture is written before the next one is read."""
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOTDIR)
"""Errors of writing that the next picture would meet too."""


@dataclass(frozen=True)
class Job:
    """A picture to predict: a file, or a frame of a split. It is read when its turn comes."""

    name: str
    source: str
    """The path of the file, or dataset:split."""
    path: Path | None = None
    split: Split | None = None
    index: int = 0
    """Of the frame in `split`."""

    def image(self) -> np.ndarray:
        """uint8 (H, W, 3), RGB."""
        if self.split is None:
            return read_picture(Path(self.source))
        return np.asarray(self.split.images[self.index])

    def truth(self) -> np.ndarray | None:
        """(H, W) class ids, 255 is void; None if it is not known."""
        return None if self.split is None else self.split.labels[self.index]


@dataclass(frozen=True)
class Summary:
    """What `predict` did."""

    written: int
    failed: tuple[str, ...]
    """One message for each picture that could not be predicted."""
    seconds: float


def predict(
    model: DSRL,
    config: Config,
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    tta: TTA | None = None,
    progress: bool = True,
) -> Summary:
    """Predict pictures into the folders KINDS of `out`; a bad picture is reported at the end and stops nothing.

    sources: images, folders, patterns, or `dataset:split` (with truth). What an earlier call wrote is no source,
    unless it is named itself; of the same picture it is replaced or removed. Every file is written by rename, so a call
    that is cut off leaves only whole files. ValueError for a network with another number of classes than the data set
    of `config`; DataError for a source without pictures and, before anything is written, for two pictures of one name,
    and for a source or a file of yours that would be overwritten; OSError if `out` cannot be written.
    """
    table, begin = class_table(config.data.dataset), time.perf_counter()
    found = list(map(str, [sources] if isinstance(sources, (str, Path)) else sources))  # one word has letters
    out = Path(out)
    for folder in (out, *(out / kind for kind in KINDS)):
        check_folder(folder, "out")
    check_classes(model, config)
    tta = tta or TTA()
    jobs, written, failed = list(_jobs(found, table)), 0, []
    if needs_split(config) and not tta.none:
        raise ValueError("test-time augmentation of a network whose sampling locations are those of the plain input; "
                         "allowed: none")  # fmt: skip
    if any(job.split is None for job in jobs):
        refuse_pictures(config)
    _refuse_equal_names(jobs)
    _keep_files(jobs, out)
    for kind in ALWAYS:
        (out / kind).mkdir(parents=True, exist_ok=True)
    room = Room(model.eval(), config, tta)

    def pictures(job: Job) -> dict[str, np.ndarray]:
        if job.path is not None:
            room.check(job.path, *image_size(job.path))
        return results(model, config, job, tta, table)

    shown = bar(jobs, "predict", unit=" images", disable=not progress, mininterval=0.5)
    for job, result in _written(shown, pictures, out):
        try:
            result.result()
            written += 1
        except DataError as error:
            failed.append(str(error))
            _remove(out, job, KINDS)  # of an earlier call: a network's pictures do not stand among those of another
        except (ValueError, RuntimeError, MemoryError) as error:  # a picture that is too thin, or too large for memory
            failed.append(f"{job.path or job.name} cannot be predicted: {str(error) or type(error).__name__}")
            _remove(out, job, KINDS)
        except OSError as error:
            if error.errno in FATAL:
                raise OSError(error.errno, f"{error.strerror}; {written} of {len(jobs)} pictures are done") from error
            failed.append(f"{job.name}: {error}")
            _remove(out, job, KINDS)
    return Summary(written, tuple(failed), time.perf_counter() - begin)


def _written(
    jobs: Iterable[Job], pictures: Callable[[Job], dict[str, np.ndarray]], out: Path
) -> Iterator[tuple[Job, Future[None]]]:
    """Each job, in order, when its pictures are written or could not be."""
    with ThreadPoolExecutor(WRITERS) as pool:
        waiting: deque[tuple[Job, Future[None], int]] = deque()
        ahead = 0
        for job in jobs:
            pixels = 0
            try:
                made = pictures(job)
                pixels, result = made["pred"].size, pool.submit(_write, out, job, made)
            except Exception as error:
                result = Future()
                result.set_exception(error)
            waiting.append((job, result, pixels))
            ahead += pixels
            while ahead > AHEAD:
                job, result, pixels = waiting.popleft()
                ahead -= pixels
                yield job, result
        for job, result, _ in waiting:
            yield job, result


def _write(out: Path, job: Job, made: dict[str, np.ndarray]) -> None:
    for kind, pixels in made.items():
        write_picture(out / kind / f"{job.name}.png", pixels, COMMAND)
    _remove(out, job, KINDS.keys() - made)  # what an earlier call made, of another network or with the truth


@torch.inference_mode()
def results(model: DSRL, config: Config, job: Job, tta: TTA, table: ClassTable) -> dict[str, np.ndarray]:
    """The pictures of one image, by kind (KINDS): uint8 (H, W) or (H, W, 3)."""
    image, truth = job.image(), job.truth()
    given = None if job.split is None else given_locations(model, job.split, job.index, config)
    mean, restored = image_output(model, image, config, tta, given)
    classes = class_ids(mean, image.shape[:2])  # (H, W)
    colours = colourise(classes, table)
    made = {
        "rgb": colours,
        "pred": label_ids(classes, table),
        "compose": np.round((1 - BLEND) * image + BLEND * colours).astype(np.uint8),
    }
    if truth is not None:
        wrong = (classes != truth) & (truth != VOID)
        seen = np.where(colours.any(-1, keepdims=True), colours, np.uint8(255))  # black is what is right
        made["diff"] = np.where(wrong[..., None], seen, np.uint8(0))
    if model.sisr is not None:
        made["sr"] = to_pixels(restored if restored is not None else _reconstruction(model, image, config))
    return made


def _reconstruction(model: DSRL, image: np.ndarray, config: Config) -> Tensor:
    """What the SISR branch makes of the plain input: (1, 3, H, W), normalised, at HR size."""
    frame = network_input(image, config).to(next(model.parameters()).device)
    return forward(model, frame, config)["image"]


def label_ids(classes: np.ndarray, table: ClassTable) -> np.ndarray:
    """Ids as the data set's own files and server have them: official ones for Cityscapes, lines of classes.txt."""
    return classes if table.label_ids is None else np.array(table.label_ids, np.uint8)[classes]


def _jobs(sources: Sequence[str], table: ClassTable) -> Iterator[Job]:
    if not sources:
        raise DataError("nothing to predict: give images, folders, patterns, or dataset:split such as camvid:test")
    files = []
    for source in dict.fromkeys(sources):
        dataset, colon, split = source.rpartition(":")  # a folder's name may have a colon too
        if colon and split in SPLITS and not Path(source).exists():
            if class_table(dataset).classes != table.classes:
                raise DataError(f"{source} has the classes of {dataset}, the network those of {table.name}")
            loaded = load_split(dataset, split)
            for index, name in enumerate(loaded.names):
                yield Job(name, source, split=loaded, index=index)
        else:
            files.append(source)
    for picture in find_pictures(files, _is_prediction) if files else ():
        yield Job(picture.name, str(picture.path), picture.path)


def _is_prediction(path: Path) -> bool:
    """Whether an earlier call wrote `path`, also one that was cut off, or of whose files some were removed."""
    return any(folder.name in KINDS for folder in Path(os.path.realpath(path)).parents) and is_made(path, COMMAND)


def _refuse_equal_names(jobs: Sequence[Job]) -> None:
    """DataError for two pictures that would be written under one name, such as frames of two splits."""
    first: dict[str, Job] = {}
    for job in jobs:
        if (other := first.setdefault(job.name, job)) is not job:
            raise DataError(f"{other.source} and {job.source} both hold a picture that would be written as "
                            f"{job.name!r}: predict them into different folders")  # fmt: skip


def _keep_files(jobs: Sequence[Job], out: Path) -> None:
    """DataError if a file that would be written is a source, also by another path to it, or one that `predict` did not
    write."""
    sources = {os.path.realpath(job.path) for job in jobs if job.path is not None}
    for job in jobs:
        for kind in KINDS:
            target = out / kind / f"{job.name}.png"
            if not os.path.lexists(target):  # also for a name that is too long, which is reported when its turn comes
                continue
            if os.path.realpath(target) in sources:
                raise DataError(f"the prediction {target} would overwrite a source: choose another folder for --out")
            if not _is_prediction(target):
                raise DataError(f"the prediction {target} would overwrite a file that no earlier call wrote: choose "
                                "another folder for --out")  # fmt: skip


def _remove(out: Path, job: Job, kinds: Iterable[str]) -> None:
    for kind in kinds:
        if os.path.lexists(path := out / kind / f"{job.name}.png"):
            path.unlink(missing_ok=True)
