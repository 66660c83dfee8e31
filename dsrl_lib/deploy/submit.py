"""The archive that the Cityscapes benchmark server takes: one map of official label ids for each test image."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import CITYSCAPES, class_table, label_ids
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.images import find_pictures, read_picture
from dsrl_lib.data.readers.cityscapes import IMAGE
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.forward import check_classes, class_ids
from dsrl_lib.evaluation.given_locations import refuse_pictures
from dsrl_lib.evaluation.tta import image_output
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import check_file
from dsrl_lib.progress import bar
from dsrl_lib.records import write_atomically
from dsrl_lib.registry import CITYSCAPES_SIZE

TEST_IMAGES = 1525


def submit(
    model: DSRL,
    config: Config,
    images: Path,
    target: Path,
    tta: TTA | None = None,
    progress: bool = True,
    expected: int = TEST_IMAGES,
) -> int:
    """Predict every `<city>_<sequence>_<frame>_leftImg8bit.png` below `images` into the zip `target`; return how many.

    The network, and the number, names and sizes of the images are checked before the first one is predicted. DataError
    with what is wrong, and ValueError for a target that cannot be written or is no zip, for a network that cannot
    predict pictures alone, and for one that gives numbers that are not finite; nothing is written then.
    """
    check_file(target, "out")
    check_classes(model, config)
    refuse_pictures(config)
    if target.suffix != ".zip":
        raise ValueError(f"out = {target}; allowed: a name that ends in .zip")
    if class_table(config.data.dataset).classes != CITYSCAPES.classes:
        raise DataError(f"the network has the classes of {config.data.dataset}; the server takes those of cityscapes")
    found = [picture for picture in find_pictures([str(images)]) if picture.path.name.endswith(IMAGE)]
    if len(found) != expected:
        raise DataError(f"{images} holds {len(found)} images that end in {IMAGE}, the test split has {expected}")
    names = [picture.path.name.removesuffix(IMAGE) for picture in found]
    bad = [name for name in names if not re.fullmatch(r"[A-Za-z-]+_\d{6}_\d{6}", name)]
    if bad:
        raise DataError(f"{bad[0]}{IMAGE} is not named <city>_<sequence>_<frame>{IMAGE}")
    if len(set(names)) != len(names):
        raise DataError(f"{images} holds two images of one name")
    for picture in bar(found, "check", disable=not progress):  # reading costs little compared with predicting
        _require_size(picture.path, read_picture(picture.path).shape[:2])

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
            maps = _maps(model, config, [picture.path for picture in found], tta)
            for name, content in zip(names, bar(maps, "submit", len(names), disable=not progress), strict=True):
                archive.writestr(f"{name}_pred_labelIds.png", content)

    write_atomically(target, write)
    return len(found)


def _require_size(path: Path, found: tuple[int, int]) -> None:
    if found != CITYSCAPES_SIZE:
        sizes = (f"{height} x {width}" for height, width in (found, CITYSCAPES_SIZE))
        raise DataError(f"{path} is {', not '.join(sizes)} (height x width)")


def _maps(model: DSRL, config: Config, paths: list[Path], tta: TTA | None) -> Iterator[bytes]:
    """PNG files of official label ids."""
    for path in paths:
        try:
            mean, _ = image_output(model.eval(), read_picture(path), config, tta or TTA())
        except ValueError as error:
            raise ValueError(f"{path} cannot be predicted: {error}") from error
        buffer = io.BytesIO()
        Image.fromarray(label_ids(class_ids(mean, CITYSCAPES_SIZE), CITYSCAPES)).save(buffer, format="png")
        yield buffer.getvalue()
