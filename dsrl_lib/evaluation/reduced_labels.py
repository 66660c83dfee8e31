"""What training on reduced labels can reach at best: the motive of the paper for learning HR masks (Sec. 3.1)."""

from collections.abc import Iterable

import numpy as np
import torch

from dsrl_lib import metrics
from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.transforms import reduce_labels


def reduced_label_iou(labels: Iterable[np.ndarray], config: Config) -> np.ndarray:
    """IoU (K,) of label maps that were reduced to the input's scale without error and enlarged again.

    labels: uint8 (H, W) class ids, 255 is void. If a reduced label is void, nothing is claimed there: such a pixel
    counts neither as right nor as wrong.
    """
    classes, totals = len(class_table(config.data.dataset).classes), []
    for label in labels:
        full = torch.from_numpy(np.array(label))[None]  # (1, H, W)
        size = tuple(round(side * config.model.input_scale) for side in label.shape)
        enlarged = reduce_labels(reduce_labels(full, size), label.shape)[0].numpy()  # (H, W)
        enlarged = np.where(enlarged == metrics.VOID, label, enlarged)
        known = np.where(enlarged == metrics.VOID, 0, enlarged)  # void in the truth too: not counted
        totals.append(metrics.counts(known, label, classes))
    return metrics.iou(np.asarray(totals).sum(0, dtype=np.int64))
