"""What to predict: pictures of files, and frames of splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsrl_lib.data.class_tables import ClassTable, class_table
from dsrl_lib.data.images import find_pictures, read_picture
from dsrl_lib.data.split import SPLITS, Split, load_split
from dsrl_lib.deploy.prediction_files import is_prediction
from dsrl_lib.paths import DataError


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


def find_jobs(sources: Sequence[str], table: ClassTable) -> list[Job]:
    """The frames of each `dataset:split`, then the pictures of images, folders and patterns.

    What an earlier call wrote is none, unless it is named itself. DataError for sources without a picture, for a split
    whose classes are not those of `table`, and for two pictures of one name.
    """
    jobs = list(_found(sources, table))
    _refuse_equal_names(jobs)
    return jobs


def _found(sources: Sequence[str], table: ClassTable) -> Iterator[Job]:
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
    for picture in find_pictures(files, is_prediction) if files else ():
        yield Job(picture.name, str(picture.path), picture.path)


def _refuse_equal_names(jobs: Sequence[Job]) -> None:
    """DataError for two pictures that would be written under one name, such as frames of two splits."""
    first: dict[str, Job] = {}
    for job in jobs:
        if (other := first.setdefault(job.name, job)) is not job:
            raise DataError(f"{other.source} and {job.source} both hold a picture that would be written as "
                            f"{job.name!r}: predict them into different folders")  # fmt: skip
