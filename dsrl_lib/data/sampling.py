"""Class-uniform sampling (Zhu et al., CVPR 2019, Sec. 4): a share of the crops shows each class equally often.

Once per data set, every frame is cut into tiles, and for each class in a tile one of its pixels is stored. An epoch is
then made of frames for the classes in equal numbers, each with a point that its crop has to contain, and of other
frames. Coarse boost adds points of rare classes from a second, coarsely labelled data set.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dsrl_lib.config import Data
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.once import array_once, in_threads
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import Geometry
from dsrl_lib.paths import cache_dir

VERSION = 1
"""Of the stored points: to be raised when others come out."""


class Draw(NamedTuple):
    """One sample of an epoch."""

    frame: int
    """Its number. Frames of the coarse boost are numbered after the others."""
    label: int | None
    """The class for which the frame was drawn; None if it was drawn for no class."""
    point: tuple[int, int] | None
    """Row and column in the stored frame of a pixel of that class."""


@dataclass(frozen=True, eq=False)
class ClassUniform:
    """How epochs are composed: `compose` depends on the seed and the epoch alone, so a resumed run sees the same."""

    points: np.ndarray
    """int32 (R, 4): frame, class, row, column, as `class_points` makes them."""
    frames: int
    """Number of frames, which is the length of an epoch."""
    classes: int
    share: float = 0.5
    """Share of an epoch's samples drawn for classes, as an upper limit: each class gets the same whole number."""
    boost: np.ndarray | None = None
    """Points of a second data set, for the classes of `boosted`: they are drawn like a class's other points."""
    boosted: Sequence[int] = ()
    last_epoch: int | None = None
    """The boost ends after this epoch (from 0): the released code's `max_cu_epoch`. None: it never ends."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share = {self.share}: allowed are 0 to 1")
        if unknown := set(self.boosted) - set(range(self.classes)):
            raise ValueError(f"boosted = {sorted(unknown)}: allowed are the classes 0 to {self.classes - 1}")
        if self.boosted and self.boost is None:
            raise ValueError(f"boosted = {sorted(self.boosted)} needs `boost`, the points of a coarse data set")
        seen = self._by_class(0)
        if not seen:
            raise ValueError(f"points: no frame shows one of the classes 0 to {self.classes - 1}")
        if self.share and int(self.share * self.frames) < len(seen):
            raise ValueError(
                f"share = {self.share} of {self.frames} frames is less than one for each of {len(seen)} classes: "
                "allowed are 0 and what is enough for one of each"
            )
        if absent := sorted(set(range(self.classes)) - set(seen)):
            warnings.warn(f"no frame shows the classes {absent}: the others take their share", stacklevel=3)

    def compose(self, seed: int, epoch: int) -> list[Draw]:
        """The samples of an epoch (from 0) in the order of training, as many as there are frames.

        Within the epoch the points of a class are used equally often, but for one use; so are the frames that are
        drawn for no class, at most once each.
        """
        # The third and fourth word keep this stream apart from those of the crops: [seed, epoch, index].
        rng = np.random.default_rng([seed, epoch, 0, 1])
        by_class = self._by_class(epoch)
        # DEVIATION: in class-uniform sampling a class that no frame shows leaves its samples to the other classes. In
        # the released code (Zhu et al.) they are lost, and the epoch is shorter.
        each = int(self.share * self.frames) // max(1, len(by_class))
        draws = [Draw(int(i), None, None) for i in rng.permutation(self.frames)[: self.frames - each * len(by_class)]]
        for label, rows in by_class.items():
            order = rng.permutation(len(rows))
            for i in range(each):
                index, _, row, column = (int(value) for value in rows[order[i % len(rows)]])
                draws.append(Draw(index, label, (row, column)))
        return [draws[i] for i in rng.permutation(len(draws))]

    def _by_class(self, epoch: int) -> dict[int, np.ndarray]:
        """The rows of each class that has any."""
        points = self.points
        # DEVIATION: in class-uniform sampling the coarse boost ends after its last epoch. In the released code (Zhu et
        # al.) the coarse frames stay in the lists, and the last epoch changes nothing for them.
        if self.boost is not None and (self.last_epoch is None or epoch <= self.last_epoch):
            coarse = self.boost[np.isin(self.boost[:, 1], list(self.boosted))]
            points = np.concatenate([points, coarse + [self.frames, 0, 0, 0]])
        rows = {label: points[points[:, 1] == label] for label in range(self.classes)}
        return {label: found for label, found in rows.items() if len(found)}


def class_uniform(split: Split, data: Data, boost: Split | None) -> ClassUniform | None:
    """The composition of the epochs of a split that the settings ask for; None if every frame comes once.

    boost: the training frames of data.boost_dataset. ValueError for settings that do not fit the frames.
    """
    if not data.class_uniform:
        return None
    classes = class_table(data.dataset)
    if boost is not None and class_table(data.boost_dataset).classes != classes.classes:
        raise ValueError(
            f"data.boost_dataset = {data.boost_dataset!r}; allowed: data sets with the classes of {data.dataset}"
        )
    boosted, known = tuple(map(int, data.boost_classes.split())), len(classes.classes)
    if boosted and max(boosted) >= known:
        raise ValueError(f"data.boost_classes = {data.boost_classes!r}; allowed: numbers from 0 to {known - 1}")
    try:
        return ClassUniform(
            class_points(split, data.class_tile),
            frames=len(split),
            classes=known,
            share=data.class_uniform,
            boost=None if boost is None else class_points(boost, data.class_tile),
            boosted=boosted,
            last_epoch=data.boost_epochs - 1 if data.boost_epochs else None,
        )
    except ValueError as error:
        settings = f"data.class_uniform = {data.class_uniform}, data.class_tile = {data.class_tile}"
        raise ValueError(f"{settings}: {error}") from None


def class_points(split: Split, tile: int) -> np.ndarray:
    """For each frame, tile and class in it, one pixel: int32 (R, 4) of frame, class, row, column.

    tile: side of the square tiles in pixels of the stored frames. The result is kept in the cache, named by the hash
    of the split's files and the tile.

    Raises ValueError for a tile larger than a frame.
    """

    def find() -> np.ndarray:
        found = in_threads(lambda i: points_of(split.labels[i], tile), len(split), "find classes")
        return np.array([(i, *point) for i, points in enumerate(found) for point in points], np.int32).reshape(-1, 4)

    name = f"{split.manifest_hash[:16]}-tile{tile}-v{VERSION}.npy"
    return array_once(cache_dir() / "class_points" / name, find)


def points_of(label: np.ndarray, tile: int) -> list[tuple[int, int, int]]:
    """Class, row and column of each class in each tile: the pixel of the class nearest its centre of mass there.

    label: uint8 (H, W), 255 for void. The tiles cover the frame from the top left; the last ones may be smaller.
    """
    # DEVIATION: in class-uniform sampling the tiles cover the whole frame, and a point is a pixel of its class. The
    # released code (Zhu et al.) drops the strip beyond the last whole tile, and takes the centre of mass itself, which
    # often lies on another class.
    height, width = label.shape
    if not 1 <= tile <= min(height, width):
        raise ValueError(f"tile = {tile}: allowed are 1 to {min(height, width)} for a frame of {height}x{width}")
    points = []
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            part = label[top : top + tile, left : left + tile]
            for c, box in enumerate(ndimage.find_objects(part + np.uint8(1))):  # void becomes 0, which is no object
                if box is not None:
                    rows, columns = np.nonzero(part[box] == c)
                    rows, columns = rows + box[0].start, columns + box[1].start  # in the tile, where means are rounded
                    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
                    points.append((c, top + int(rows[nearest]), left + int(columns[nearest])))
    return points


def around(rng: np.random.Generator, geometry: Geometry, point: tuple[int, int], stored: tuple[int, int]) -> Geometry:
    """The same crop at another place: uniform over all whole positions at which it contains the point.

    point: row and column in the stored frame, whose size is `stored`, (H0, W0).
    """
    top, left = (
        start_containing(rng, at, length, side)
        for at, length, side in zip(point, geometry.source[2:], stored, strict=True)
    )
    return replace(geometry, source=(top, left, *geometry.source[2:]))


def start_containing(rng: np.random.Generator, at: int, length: int, side: int) -> int:
    """Where an interval of `length` in [0, side) starts that contains `at`, uniform over all possible starts."""
    # DEVIATION: in class-uniform sampling every crop contains its point, and all places are equally likely. The
    # released code (Zhu et al.) may end a crop just before the point, and prefers places at the edge of the frame.
    if not (0 <= at < side and 1 <= length <= side):
        raise ValueError(f"at = {at}, length = {length}: allowed are 0 to {side - 1} and 1 to {side}")
    return int(rng.integers(max(0, at - length + 1), min(at, side - length) + 1))
