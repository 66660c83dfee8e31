"""Pictures of any kind: found in folders and by patterns, read as 8-bit RGB.

Training, evaluation and prediction all read by `read_picture`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dsrl_lib.paths import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
OTHERS = (".gif", ".jp2", ".jpe", ".jfif", ".avif", ".heic", ".heif", ".tga", ".pbm", ".pnm")
"""Of pictures too: in a folder they are not skipped, but read, or reported as what cannot be read."""

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
BITS, FORMAT, SIGNED = 258, 339, 2
"""Tags of TIFF, and some of their values."""


@dataclass(frozen=True)
class Picture:
    """A file to read, and the name under which what is made of it is written."""

    path: Path
    name: str
    """Path below the source it was found in, without its suffix."""


def find_pictures(sources: Sequence[str], leave_out: Callable[[Path], bool] = lambda path: False) -> list[Picture]:
    """Files, folders (searched through, with links) and patterns -> pictures, each once, in the order of the sources.

    In folders, what is hidden is passed over: names that begin with a dot. What cannot be looked into there, such as a
    folder of somebody else or a link that leads nowhere, counts as a picture, so that the error of reading it names the
    path.
    leave_out: of the files found in folders and by patterns, those that are not meant.
    DataError for a source that does not exist or holds no picture, and for two pictures that would share a name.
    """
    found: dict[Path, Picture] = {}
    for source in sources:
        pictures = list(_pictures(source, leave_out))
        if not pictures:
            raise DataError(f"no pictures in {source!r}: looked for files that end in {', '.join(SUFFIXES)}")
        for picture in pictures:
            found.setdefault(picture.path.absolute(), picture)
    names: dict[str, Path] = {}
    for picture in found.values():
        if picture.name in names:
            raise DataError(
                f"{names[picture.name]} and {picture.path} would both be written as {picture.name!r}: "
                "predict them into different folders"
            )
        names[picture.name] = picture.path
    return list(found.values())


def _pictures(source: str, leave_out: Callable[[Path], bool]) -> Iterator[Picture]:
    if not source.strip():
        raise DataError("an empty name is no source; '.' is the present folder")
    source = os.path.expanduser(source)  # no shell has done so in a quoted pattern
    path = Path(source)
    if path.is_dir():
        for folder, files in folders(path):
            for picture in (Path(folder, file) for file in files if not is_hidden(file)):
                meant = picture.suffix.lower() in SUFFIXES + OTHERS or not os.path.isfile(picture)
                if meant and not leave_out(picture):
                    yield Picture(picture, str(picture.relative_to(path).with_suffix("")))
    elif path.exists() or path.is_symlink():
        yield Picture(path, path.stem)
    elif any(sign in source for sign in "*?["):
        for name in sorted(glob(source, recursive=True)):
            if Path(name).is_dir():
                yield from _pictures(name, leave_out)
            elif not leave_out(Path(name)):
                yield Picture(Path(name), Path(name).stem)
    else:
        raise DataError(f"{source} does not exist; give an image, a folder, a pattern such as 'frames/*.png', or "
                        "dataset:split such as camvid:test")  # fmt: skip


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, such as `._a.jpg` of macOS."""
    return name.startswith(".")


def by_stem(paths: Iterable[Path], fault: str) -> dict[str, Path]:
    """Files by their names without suffix. DataError, with the fault in words, for two files of one name."""
    found: dict[str, Path] = {}
    for path in paths:
        if (other := found.setdefault(path.stem, path)) != path:
            raise DataError(f"{other} and {path} {fault}: move one of the two elsewhere")
    return found


def with_end(paths: Iterable[Path], end: str) -> list[Path]:
    """Those whose names end with `end`, such as "_image.jpg", sorted.

    DataError for a picture that would be left out because of its suffix alone; beside one that is read, it is a copy.
    """
    stem, paths = end.rpartition(".")[0], sorted(paths)
    found = [path for path in paths if path.name.endswith(end)]
    read = {path.with_suffix("") for path in found}
    for path in paths:
        if path.stem.endswith(stem) and path.suffix.lower() in SUFFIXES + OTHERS and path.with_suffix("") not in read:
            raise DataError(f"cannot read image {path}; allowed: files that end in {end}")
    return found


def folders(top: Path) -> Iterator[tuple[str, list[str]]]:
    """`top` and the folders below it, with their files. Each comes once, so that loops end; linked ones come last.

    A folder that cannot be opened is given as a file of the one above it.
    """
    seen, waiting = set(), [str(top)]
    closed: list[OSError] = []
    while waiting:
        for folder, below, files in os.walk(waiting.pop(0), onerror=closed.append):  # follows no links itself
            if os.path.realpath(folder) in seen:
                below.clear()
                continue
            seen.add(os.path.realpath(folder))
            below[:] = sorted(name for name in below if not is_hidden(name))
            waiting += [path for path in (os.path.join(folder, name) for name in below) if os.path.islink(path)]
            yield folder, sorted(files)
    for error in closed:
        folder, name = os.path.split(error.filename)
        yield folder, [name]


def read_picture(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) RGB, upright as its EXIF data says; alpha is dropped, 16-bit grey is scaled to 8 bit.

    DataError that names the file if it cannot be read faithfully, is truncated, holds several pictures, or is too large
    to be one.
    """
    with opened(path) as image:
        _refuse_misread(image)
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith(("I", "F")):
            return _from_deep(image, path)
        return np.asarray(image.convert("RGB"))


@contextmanager
def opened(path: Path, kind: str = "image") -> Iterator[Image.Image]:
    """An image file whose head has been read. DataError that names it if it cannot be read, then or later.

    kind: what it is, for the message.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ValueError("it is not a file")  # opening a pipe would wait for ever
        with Image.open(path) as image:
            # Of a photo, MPO adds smaller copies or a second view.
            if image.format != "MPO" and (pictures := getattr(image, "n_frames", 1)) > 1:
                raise ValueError(f"it holds {pictures} pictures; store each in a file of its own")
            if image.format == "TIFF":
                image.filename = ""  # else Pillow maps it into memory with the sides of the turned picture
            yield image
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a damaged file ends in errors of many kinds
        raise DataError(f"cannot read {kind} {path}: {error}") from error


def _refuse_misread(image: Image.Image) -> None:
    """ValueError for a TIFF that Pillow takes for another: of 12 bits, as if they were 16, or of signed 8 bits."""
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    for misread, kind in (
        (12 in tags.get(BITS, ()), "12 bits"),
        (image.mode == "L" and SIGNED in tags.get(FORMAT, ()), "signed numbers"),
    ):
        if misread:
            raise ValueError(f"{kind}; allowed: 8 bits per channel, or 16-bit grey")


def _from_deep(image: Image.Image, path: Path) -> np.ndarray:
    """Grey of 16 bits; other deep formats have no agreed range. Pillow opens PGM of 16 bits with mode I, PFM with F."""
    values = np.asarray(image)
    if (
        not (image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM"))
        or values.min() < 0
        or values.max() > 65535
    ):
        raise DataError(f"cannot read image {path}: mode {image.mode}; allowed: 8 bits per channel, or 16-bit grey")
    if image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # type: ignore[attr-defined]
        values = 65535 - values  # Pillow does so for 8 bits alone
    grey = np.round(values / 257).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)  # (H, W, 3)
