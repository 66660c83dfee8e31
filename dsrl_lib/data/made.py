"""Folders of the cache, whose files this library makes itself: whole, or made again."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from dsrl_lib.paths import check_folder

LIST = "made.json"
"""The names of the other files of such a folder: clusters delete old files of a disk one by one, and the frames that
were left would be taken for all."""


def is_whole(folder: Path) -> bool:
    """Whether `made` wrote a folder, and no file of it is missing."""
    try:
        return all((folder / name).is_file() for name in json.loads((folder / LIST).read_text()))
    except (OSError, ValueError, TypeError):
        return False


def made(folder: Path, make: Callable[[Path], object], whole: Callable[[Path], bool] = is_whole) -> Path:
    """`folder`, filled by `make(temporary folder)` if it is not whole. It appears by rename; other processes wait.

    What is there already is only read. OSError that names DSRL_CACHE if it has to be made and cannot be written.
    """
    if whole(folder):
        return folder
    check_folder(folder.parent, "DSRL_CACHE")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if whole(folder):  # another process made it while this one waited
            return folder
        # What lies there is damaged, or of a process that was killed: under the lock nobody else writes.
        for left in (folder, *folder.parent.glob(f".{folder.name}-*")):
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            make(temporary)
            names = sorted(os.path.relpath(path, temporary) for path in temporary.rglob("*") if path.is_file())
            (temporary / LIST).write_text(json.dumps(names))
            temporary.chmod(0o755)  # a temporary folder is private by default
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder
