"""Frames decoded once into memory-mapped uint8 arrays, so that loading is never the bottleneck.

A cache belongs to the contents of its files: names, bytes and class table are hashed into the manifest hash,
which is the same on every machine and names the cache. A listing (path, size, times) saves hashing unchanged
files again.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dsrl_lib.data.frames import DataError, Frame, read_pair
from dsrl_lib.data.made import made
from dsrl_lib.data.once import in_threads, once
from dsrl_lib.paths import check_folder
from dsrl_lib.records import write_json


def manifest_hash(frames: Sequence[Frame], index: Path) -> str:
    """SHA-256 over names, file contents (pixels of what was drawn) and label tables, in the order of the frames.

    index: file that remembers the last listing and hash, for a quick answer when no file has changed. OSError that
    names DSRL_CACHE if it cannot be written.
    """
    listing = [_stat(path) for frame in frames for path in (frame.image, frame.label)]
    listing += [[frame.name, hashlib.sha256(frame.table).hexdigest(), *frame.drawn] for frame in frames]

    def read() -> str:
        known = json.loads(index.read_text())
        if known["listing"] != listing or not re.fullmatch("[0-9a-f]{64}", known["hash"]):
            raise ValueError(f"{index} is of other files, or damaged")
        return known["hash"]

    def make() -> str:
        check_folder(index.parent, "DSRL_CACHE")  # before hours of reading
        lines = in_threads(lambda i: _line(frames[i]), len(frames), f"hash {index.stem}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    return once(index, read, make, lambda digest: write_json(index, {"listing": listing, "hash": digest}))


def open_cache(folder: Path) -> tuple[np.memmap, np.memmap]:
    """images uint8 (N, H, W, 3) and labels uint8 (N, H, W), read only. DataError where damaged or missing."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"damaged cache {folder}: {error}") from error
    if images.shape != (*labels.shape, 3):
        raise DataError(f"damaged cache {folder}: images {images.shape}, labels {labels.shape}")
    return images, labels


def build_cache(folder: Path, frames: Sequence[Frame]) -> None:
    """Write the cache unless a good one exists."""
    made(folder, lambda temporary: _decode(temporary, frames, folder.name), _opens)


def _opens(folder: Path) -> bool:
    try:
        open_cache(folder)
    except DataError:
        return False
    return True


def _decode(folder: Path, frames: Sequence[Frame], name: str) -> None:
    height, width, _ = read_pair(frames[0])[0].shape
    shape = (len(frames), height, width)
    _require_space(folder, 4 * len(frames) * height * width)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (*shape, 3))
    labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint8, shape)
    for file in ("images.npy", "labels.npy"):
        _reserve(folder / file)

    def decode(i: int) -> None:
        images[i], labels[i] = read_pair(frames[i], (height, width))

    for _ in in_threads(decode, len(frames), f"decode {name}"):
        pass
    images.flush()
    labels.flush()


def _require_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted * 1.02:
        raise DataError(
            f"not enough disk space in {folder.parent}: the decoded frames need {wanted / 1e9:.2f} GB, "
            f"{free / 1e9:.2f} GB are free. Free some, or set DSRL_CACHE to a folder with room"
        )


def _reserve(path: Path) -> None:
    """Take the room of a file that is written through memory: there, a full disk or a quota would kill the process."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                return  # this file system cannot
            raise DataError(f"not enough disk space in {path.parent.parent}: {error.strerror}. Free some, or set "
                            "DSRL_CACHE to a folder with room") from error  # fmt: skip


def _stat(path: Path) -> list[str | int]:
    stat = path.stat()
    # Who copies a file over another may give it any time of writing, as cp -p and archives do, but not of its change.
    return [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _line(frame: Frame) -> str:
    contents = (_content(frame.image, "image" in frame.drawn), _content(frame.label, "label" in frame.drawn))
    return " ".join([frame.name, *(hashlib.sha256(content).hexdigest() for content in (*contents, frame.table))])


def _content(path: Path, drawn: bool) -> bytes:
    """The bytes of a file; of one that was drawn, its shape and pixels."""
    if not drawn:
        return path.read_bytes()
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return f"{pixels.shape} ".encode() + pixels.tobytes()
