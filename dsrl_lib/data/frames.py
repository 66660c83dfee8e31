"""A frame on disk and how to read it. Whatever is bad about a file ends in a DataError that names it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from PIL import ExifTags, ImageOps

from dsrl_lib.data.images import opened, read_picture
from dsrl_lib.paths import DataError as DataError

INVALID = 254
"""Marks, in a label table, a stored value that has no meaning."""
LOSSY = ("AVIF", "JPEG", "JPEG2000", "MPO", "WEBP")
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
"""Formats that change pixels, or of which Pillow does not say whether they did; ways in which a TIFF is compressed."""


@dataclass(frozen=True)
class Frame:
    """One image with its label map, not yet read."""

    name: str
    sequence: str
    image: Path
    label: Path
    table: bytes
    """256 bytes: stored label value -> class id, 255 (void) or INVALID."""
    drawn: tuple[Literal["image", "label"], ...] = ()
    """Which files this library has drawn: their pixels are known, and their bytes depend on the version of Pillow."""


class Arrays(Protocol):
    """Images or label maps by index: a list, one array with all of them, or what reads each when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


def label_table(mapping: dict[int, int]) -> bytes:
    """The lookup for a mapping of stored values to class ids; all other values are INVALID."""
    table = bytearray([INVALID] * 256)
    for stored, class_id in mapping.items():
        table[stored] = class_id
    return bytes(table)


def read_list(path: Path) -> str:
    """A text that people write, with or without a byte-order mark. DataError that names it if it cannot be read."""
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); allowed: text in UTF-8") from error


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of what `read_picture` reads, from the head of the file. DataError where it cannot be read."""
    with opened(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)  # by a quarter
        turned = turned and image.format != "TIFF"  # of which Pillow gives the sides of the upright picture
        return (image.width, image.height) if turned else (image.height, image.width)


def read_image(frame: Frame) -> np.ndarray:
    """uint8 (H, W, 3) RGB, as `read_picture` reads it. DataError for an unreadable or truncated file."""
    return read_picture(frame.image)


def read_label(frame: Frame) -> np.ndarray:
    """uint8 (H, W), class ids or 255, upright. DataError for an unreadable file or a value outside the class table."""
    stored = _read_mat(frame.label) if frame.label.suffix == ".mat" else _read_ids(frame.label)
    if stored.ndim != 2 or stored.dtype != np.uint8:
        raise DataError(f"label map {frame.label} is {stored.dtype} {stored.shape}, not one 8-bit id per pixel")
    label = np.frombuffer(frame.table, np.uint8)[stored]
    if (label == INVALID).any():
        unknown = np.unique(stored[label == INVALID]).tolist()
        known = [value for value, class_id in enumerate(frame.table) if class_id != INVALID]
        raise DataError(f"label map {frame.label} has unknown ids {unknown}; known ids are {_ranges(known)}")
    return label


def read_pair(frame: Frame, size: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Image and label map of a frame. DataError if their sizes differ from each other or from `size` = (H, W)."""
    image, label = read_image(frame), read_label(frame)
    size = size or image.shape[:2]
    for path, found in ((frame.image, image.shape[:2]), (frame.label, label.shape)):
        if found != size:
            raise DataError(f"{path} is {found[0]} x {found[1]}, not {size[0]} x {size[1]} (height x width)")
    return image, label


def _read_ids(path: Path) -> np.ndarray:
    with opened(path, "label map") as image:
        compression = image.info.get("compression")
        if image.format in LOSSY or compression in LOSSY_TIFF:
            kind = f"{image.format} compressed as {compression}" if compression in LOSSY_TIFF else image.format
            raise DataError(f"label map {path} is a {kind}, which changes ids; allowed: PNG")
        if any(tile.args in ("L;2", "L;4") for tile in image.tile):  # Pillow stretches it: 1 of 4 bits becomes 17
            raise DataError(f"label map {path} is grey of less than 8 bits; allowed: 8 bits, or a palette")
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(image)  # ids too where the file has a palette


def _read_mat(path: Path) -> np.ndarray:
    """A label map of the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011)."""
    from scipy.io import loadmat  # lazy: only this data set needs it

    try:
        return loadmat(path)["GTcls"][0]["Segmentation"][0]  # (H, W)
    except Exception as error:  # a damaged file ends in errors of many kinds
        raise DataError(f"cannot read label map {path}: {type(error).__name__}: {error}") from error


def _ranges(values: list[int]) -> str:
    """[0, 1, 2, 255] -> '0-2, 255'."""
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
