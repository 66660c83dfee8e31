"""Pictures that a command writes: marked, so that a later call knows them from yours."""

import os
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dsrl_lib.records import write_atomically

MARK = "Software"
"""The text in the head of a file that names the command."""


def write_picture(path: Path, pixels: np.ndarray, command: str) -> None:
    """Write uint8 (H, W) or (H, W, 3) as PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = PngInfo()
    marked.add_text(MARK, f"dsrl_lib {command}")
    # Pillow's default level takes 2.5 times as long for a photo, whose file it makes an eighth smaller.
    save = partial(Image.fromarray(pixels).save, format="png", pnginfo=marked, compress_level=1)
    write_atomically(path, save)


def is_made(path: Path, command: str) -> bool:
    """Whether an earlier call of this command wrote `path`."""
    path = Path(os.path.realpath(path))
    if path.suffix != ".png":
        return False
    try:
        with Image.open(path) as image:
            return image.info.get(MARK) == f"dsrl_lib {command}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # whoever reads the picture names it
        return False
