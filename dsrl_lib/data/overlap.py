"""Images that are in two splits: scores on what was trained on say nothing about new images."""

from pathlib import Path

from dsrl_lib.data.lazy import Images
from dsrl_lib.data.split import Split
from dsrl_lib.download import sha256_of


def shared_images(train: Split, other: Split) -> list[Path]:
    """The image files of `other` that have the bytes of one of `train`, under any name. None for cached splits."""
    if not (isinstance(train.images, Images) and isinstance(other.images, Images)):
        return []
    by_size: dict[int, list[Path]] = {}
    for frame in train.images.frames:
        by_size.setdefault(frame.image.stat().st_size, []).append(frame.image)
    candidates = [frame.image for frame in other.images.frames if frame.image.stat().st_size in by_size]
    sizes = {path.stat().st_size for path in candidates}  # few files of photos are of one size: little is read
    known = {sha256_of(path) for size in sizes for path in by_size[size]}
    return [path for path in candidates if sha256_of(path) in known]
