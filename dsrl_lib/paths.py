"""Where things are stored: one function per folder, each with the environment variable that moves it."""

import os
import re
from pathlib import Path

CLASSES = "classes.txt"
"""The file that makes a folder of `data_dir()` your own data set (see `data.class_lists`)."""

MADE_FROM = "made_from.txt"
"""Beside it: the published data set from whose frames and labels a folder was made (see `own_data.origin`)."""

OF_A_RUN = re.compile(
    r"(config|env|metrics|start)\.json|history\.csv|counts_\w+\.npz|(last|previous)\.pt|(final|(best_)?epoch\d+)\.safetensors"
)
"""Files of a run directory that nothing else may replace."""


class DataError(RuntimeError):
    """Data is missing or bad. The message names the file or folder, and what to do."""


SHIPPED = Path(__file__).resolve().parent / "_shipped"
"""Where a wheel has the files of the repository that the library needs (`setup.py`). A checkout has no such folder."""


def root() -> Path:
    """The repository; the working folder where the library is installed without it."""
    return Path.cwd() if SHIPPED.is_dir() else Path(__file__).resolve().parents[1]


def in_checkout(words: str) -> str:
    """The words, which name a command of the study; "" where the library is installed without it."""
    return "" if SHIPPED.is_dir() else words


def data_dir() -> Path:
    """Data sets as published: ``$DSRL_DATA``, else ``data/``. Read only for the library."""
    return _folder("DSRL_DATA", root() / "data")


def own_datasets() -> list[str]:
    """Names of your own data sets: the folders of `data_dir()` with a classes.txt."""
    return sorted(path.parent.name for path in data_dir().glob(f"*/{CLASSES}"))


def weights_dir() -> Path:
    """Published weights: ``$DSRL_WEIGHTS``, else ``data/weights/``."""
    return _folder("DSRL_WEIGHTS", root() / "data" / "weights")


def released_dir() -> Path:
    """Weights that this repository releases, one file per name."""
    return (SHIPPED if SHIPPED.is_dir() else root()) / "weights"


def manifests_dir() -> Path:
    """Checksums of what is downloaded, and lists of frames."""
    return (SHIPPED if SHIPPED.is_dir() else root() / "data") / "manifests"


def cache_dir() -> Path:
    """Decoded frames and generated data: ``$DSRL_CACHE``, else ``data/cache/``. Safe to delete."""
    return _folder("DSRL_CACHE", root() / "data" / "cache")


def results_dir() -> Path:
    """Runs, tables, figures and executed notebooks: ``$DSRL_RESULTS``, else ``results/``."""
    return _folder("DSRL_RESULTS", root() / "results")


def moved_folders() -> dict[str, str]:
    """The variables that move folders, as they are set, with whole paths: for a process in another working folder."""
    names = ("DSRL_DATA", "DSRL_WEIGHTS", "DSRL_CACHE", "DSRL_RESULTS")
    return {name: str(_folder(name, Path())) for name in names if os.environ.get(name)}


def check_folder(path: Path, option: str) -> None:
    """OSError that names the option, unless `path` is a folder to write or can be made one. Nothing is made."""
    first = next(part for part in (path, *path.absolute().parents) if part.exists() or part.is_symlink())
    if not first.is_dir():
        raise NotADirectoryError(f"{option} = {path}: Not a directory: {first}; give a folder to write")
    if not os.access(first, os.W_OK | os.X_OK):
        raise PermissionError(f"{option} = {path}: nothing can be written in {first}; give another folder")


def check_file(path: Path, option: str) -> None:
    """Make the folder of a file to write. OSError that names the option, if `path` is a folder or a file of a run."""
    if path.is_dir():
        raise IsADirectoryError(f"{option} = {path} is a folder; give the name of a file to write")
    if path.exists() and OF_A_RUN.fullmatch(path.resolve().name) and (path.resolve().parent / "config.json").exists():
        raise FileExistsError(f"{option} = {path} is a file of a run, which would be lost; give another name")
    check_folder(path.parent, option)
    path.parent.mkdir(parents=True, exist_ok=True)


def _folder(variable: str, default: Path) -> Path:
    value = os.environ.get(variable)
    path = Path(os.path.expanduser(value)).resolve() if value else default
    first = next(part for part in (path, *path.parents) if part.exists())
    if not first.is_dir():
        raise NotADirectoryError(f"{variable} = {path} is not a folder" + f": {first} is a file" * (first != path))
    return path
