"""Predictions of a trained network as files, for any pictures (`drawing.KINDS`).

A picture is brought to the same size as in evaluation (`transforms.frame_size`): the prediction of a frame is the one
that `evaluate` counts.
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.frames import DataError, image_size
from dsrl_lib.deploy.drawing import KINDS, drawn
from dsrl_lib.deploy.memory import Room
from dsrl_lib.deploy.prediction_files import keep_files, remove, write
from dsrl_lib.deploy.sources import Job, find_jobs
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.forward import check_classes
from dsrl_lib.evaluation.given_locations import given_locations, needs_split, refuse_pictures
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import check_folder
from dsrl_lib.progress import bar

WRITERS = 4
"""Threads that encode and write pictures while the next one is predicted: it takes longer than the network on a GPU."""
AHEAD = 32_000_000
"""Pixels that wait to be written at most; a larger picture is written before the next one is read."""
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOTDIR)
"""Errors of writing that the next picture would meet too."""


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
    jobs = find_jobs(found, table)
    if needs_split(config) and not tta.none:
        raise ValueError("test-time augmentation of a network whose sampling locations are those of the plain input; "
                         "allowed: none")  # fmt: skip
    if any(job.split is None for job in jobs):
        refuse_pictures(config)
    keep_files(out, [job.name for job in jobs], [job.path for job in jobs if job.path is not None])
    room = Room(model.eval(), config, tta)
    written, failed = 0, []

    @torch.inference_mode()
    def pictures(job: Job) -> dict[str, np.ndarray]:
        if job.path is not None:
            room.check(job.path, *image_size(job.path))
        image, truth = job.image(), job.truth()
        given = None if job.split is None else given_locations(model, job.split, job.index, config)
        return drawn(model, config, table, image, truth, tta, given)

    shown = bar(jobs, "predict", unit=" images", disable=not progress, mininterval=0.5)
    for job, result in _written(shown, pictures, out):
        try:
            result.result()
            written += 1
        except DataError as error:
            failed.append(str(error))
            remove(out, job.name)
        except (ValueError, RuntimeError, MemoryError) as error:  # a picture that is too thin, or too large for memory
            failed.append(f"{job.path or job.name} cannot be predicted: {str(error) or type(error).__name__}")
            remove(out, job.name)
        except OSError as error:
            if error.errno in FATAL:
                raise OSError(error.errno, f"{error.strerror}; {written} of {len(jobs)} pictures are done") from error
            failed.append(f"{job.name}: {error}")
            remove(out, job.name)
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
                pixels, result = made["pred"].size, pool.submit(write, out, job.name, made)
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
