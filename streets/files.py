"""The streets data set on disk, in the Cityscapes layout."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from .ids import train_ids
from .scene import SPLITS, scene

VERSION = "2"  # raised whenever any pixel changes; part of the cache folder's name
IMAGES: Mapping[str, int] = {"train": 64, "val": 16, "test": 24}
CITIES = {"train": "ashford", "val": "birchley", "test": "crestwood"}
MARKER = "streets.json"


def write(
    root: Path, *, seed: int = 0, height: int = 128, width: int = 256, images: Mapping[str, int] = IMAGES,
    frames: int = 1,
) -> Path:  # fmt: skip
    """Write the data set to `root` unless it is there already, and return `root`.

    Files: leftImg8bit/<split>/<city>/<city>_<scene:06d>_<frame:06d>_leftImg8bit.png and, under gtFine,
    ..._gtFine_labelIds.png and ..._gtFine_labelTrainIds.png (255 is void). `images` gives the scenes of each
    split, `frames` the photographs of each scene. The folder appears whole or not at all.

    ValueError for an unknown split, and if `root` holds something else than what is asked for.
    """
    unknown = sorted(set(images) - set(SPLITS))
    if unknown:
        raise ValueError(f"images names the split {unknown[0]!r}; allowed: {', '.join(SPLITS)}")
    asked = {
        "version": VERSION,
        "seed": seed,
        "height": height,
        "width": width,
        "images": dict(images),
        "frames": frames,
    }
    if _complete(root, asked):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        for split, count in images.items():
            for index in range(count):
                for frame in range(frames):
                    _write_one(partial, split, index, frame, seed, height, width)
        (partial / MARKER).write_text(json.dumps(asked, indent=1, sort_keys=True) + "\n")
        partial.chmod(0o755)  # a temporary folder is private by default
        try:
            partial.rename(root)
        except OSError:  # another process was first
            if not _complete(root, asked):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _complete(root: Path, asked: dict[str, object]) -> bool:
    """Whether `root` holds the data set asked for; ValueError if it holds anything else."""
    if not root.exists() or not any(root.iterdir()):
        return False
    try:
        found = json.loads((root / MARKER).read_text())
    except (OSError, ValueError):  # there is none, or it is damaged
        found = "files of another kind"
    if found != asked:
        raise ValueError(f"{root} holds {found}, not the streets asked for ({asked}): choose another folder")
    return True


def _write_one(root: Path, split: str, index: int, frame: int, seed: int, height: int, width: int) -> None:
    rgb, ids = scene(seed, split, index, frame, height=height, width=width)
    city = CITIES[split]
    stem = f"{city}_{index:06d}_{frame:06d}"
    for kind, name, pixels in (
        ("leftImg8bit", "leftImg8bit", rgb),
        ("gtFine", "gtFine_labelIds", ids),
        ("gtFine", "gtFine_labelTrainIds", train_ids(ids)),
    ):
        folder = root / kind / split / city
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{stem}_{name}.png", compress_level=3)
