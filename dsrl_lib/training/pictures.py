"""What the network makes of one fixed frame while it learns: pictures for TensorBoard."""

import numpy as np
import torch

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table, colourise
from dsrl_lib.data.normalise import to_pixels
from dsrl_lib.data.split import Split
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.evaluation.given_locations import given_locations
from dsrl_lib.models.dsrl import DSRL

FRAME = 0
"""The frame of the val split that is shown."""


@torch.inference_mode()
def validation_pictures(model: DSRL, split: Split, config: Config) -> dict[str, np.ndarray]:
    """`input`, `prediction` and `truth` of a frame and, with a SISR branch, its `reconstruction`: uint8 (H, W, 3) each.

    Prediction and truth have the size of the label map, and the reconstruction that of HR. Draws no random number.
    """
    model.eval()
    table, truth = class_table(config.data.dataset), np.asarray(split.labels[FRAME])
    frame, locations = network_input(split.images[FRAME], config), given_locations(model, split, FRAME, config)
    out = forward(model, frame.to(next(model.parameters()).device), config, locations)
    made = {
        "input": frame.permute(1, 2, 0).numpy(),
        "prediction": colourise(class_ids(out["logits"], truth.shape), table),
        "truth": colourise(truth, table),
    }
    return made | ({"reconstruction": to_pixels(out["image"])} if "image" in out else {})
