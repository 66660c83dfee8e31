"""The pictures that show one prediction: colours, ids, overlay, errors, reconstruction."""

import numpy as np
from torch import Tensor

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import VOID, ClassTable, colourise, label_ids
from dsrl_lib.data.normalise import to_pixels
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.evaluation.tta import image_output
from dsrl_lib.models.dsrl import DSRL

KINDS = {
    "rgb": "classes in their colours",
    "pred": "class ids as the data set stores them: official label ids for the Cityscapes classes",
    "compose": "the colours over the image",
    "diff": "errors in the colour of what was predicted, in white where that is black; if the truth is known",
    "sr": "the reconstruction, if the network has a SISR branch",
}
BLEND = 0.5


def drawn(
    model: DSRL,
    config: Config,
    table: ClassTable,
    image: np.ndarray,
    truth: np.ndarray | None = None,
    tta: TTA | None = None,
    locations: Tensor | None = None,
) -> dict[str, np.ndarray]:
    """The pictures of one prediction, by kind (KINDS): uint8 (H, W) or (H, W, 3). Call it without gradients.

    image: uint8 (H, W, 3), RGB. truth: (H, W) class ids, 255 is void, if it is known. locations: (1, n, m, 2), for a
    network that is given them (`given_locations`). Errors as `image_output`.
    """
    mean, restored = image_output(model, image, config, tta or TTA(), locations)
    classes = class_ids(mean, image.shape[:2])  # (H, W)
    colours = colourise(classes, table)
    made = {
        "rgb": colours,
        "pred": label_ids(classes, table),
        "compose": np.round((1 - BLEND) * image + BLEND * colours).astype(np.uint8),
    }
    if truth is not None:
        wrong = (classes != truth) & (truth != VOID)
        seen = np.where(colours.any(-1, keepdims=True), colours, np.uint8(255))  # black is what is right
        made["diff"] = np.where(wrong[..., None], seen, np.uint8(0))
    if model.sisr is not None:
        made["sr"] = to_pixels(restored if restored is not None else _reconstruction(model, image, config))
    return made


def _reconstruction(model: DSRL, image: np.ndarray, config: Config) -> Tensor:
    """What the SISR branch makes of the plain input: (1, 3, H, W), normalised, at HR size."""
    frame = network_input(image, config).to(next(model.parameters()).device)
    return forward(model, frame, config)["image"]
