"""The procedural street scenes, drawn into the cache at their first use, in the layout of Cityscapes."""

from dataclasses import replace
from pathlib import Path

from dsrl_lib.data.frames import Frame
from dsrl_lib.data.made import made
from dsrl_lib.data.readers import cityscapes
from dsrl_lib.paths import CLASSES, SHIPPED, DataError, cache_dir

if SHIPPED.is_dir():
    import dsrl_lib._streets as streets
else:
    import streets


def frames(root: Path, split: str) -> list[Frame]:
    """The frames of a split. root: not read, the scenes lie in the cache; DataError for your own data set there."""
    refuse_own(root)
    return [replace(frame, drawn=("image", "label")) for frame in cityscapes.frames(drawn(), split)]


def refuse_own(root: Path) -> None:
    """DataError if `root` is your own data set, which nobody would read."""
    if (root / CLASSES).exists():
        raise DataError(f"{root} is your own data set, but the frames of {root.name} are drawn by this library: give "
                        "that folder another name")  # fmt: skip


def drawn() -> Path:
    """The folder of the scenes, drawn if it is missing. A change of a pixel comes with a new VERSION."""
    return made(cache_dir() / f"streets-v{streets.VERSION}", lambda folder: streets.write(folder))
