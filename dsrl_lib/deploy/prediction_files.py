"""The files of predictions, OUT/<kind>/<name>.png: which of them may be written, replaced and removed."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dsrl_lib.data.made_pictures import is_made, write_picture
from dsrl_lib.deploy.drawing import KINDS
from dsrl_lib.paths import DataError

COMMAND = "predict"
"""By which a later call knows the files that it wrote (`made_pictures`)."""


def is_prediction(path: Path) -> bool:
    """Whether an earlier call wrote `path`, also one that was cut off, or of whose files some were removed."""
    return any(folder.name in KINDS for folder in Path(os.path.realpath(path)).parents) and is_made(path, COMMAND)


def keep_files(out: Path, names: Iterable[str], sources: Iterable[Path]) -> None:
    """DataError if a file that would be written is a source, also by another path to it, or one that `predict` did not
    write."""
    kept = {os.path.realpath(source) for source in sources}
    for name in names:
        for kind in KINDS:
            target = _file(out, kind, name)
            if not os.path.lexists(target):  # also for a name that is too long, which is reported when its turn comes
                continue
            if os.path.realpath(target) in kept:
                raise DataError(f"the prediction {target} would overwrite a source: choose another folder for --out")
            if not is_prediction(target):
                raise DataError(f"the prediction {target} would overwrite a file that no earlier call wrote: choose "
                                "another folder for --out")  # fmt: skip


def write(out: Path, name: str, pictures: Mapping[str, np.ndarray]) -> None:
    """Write the pictures of one name, by kind, each whole or not at all, and remove those of other kinds: an earlier
    call made them, of another network or with the truth."""
    for kind, pixels in pictures.items():
        write_picture(_file(out, kind, name), pixels, COMMAND)
    remove(out, name, KINDS.keys() - pictures)


def remove(out: Path, name: str, kinds: Iterable[str] = KINDS) -> None:
    """Remove what an earlier call wrote under a name: pictures of one network do not stand among those of another."""
    for kind in kinds:
        if os.path.lexists(path := _file(out, kind, name)):  # a name may be too long to ask for the file
            path.unlink(missing_ok=True)


def _file(out: Path, kind: str, name: str) -> Path:
    return out / kind / f"{name}.png"
