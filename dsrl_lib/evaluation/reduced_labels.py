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

    labels: uint8 (H, W) class ids, 255 is void. A labelled pixel whose reduced label is void counts as right: training
    says nothing there, so a network may be.
    """
    classes, totals = len(class_table(config.data.dataset).classes), []
    for label in labels:
        full = torch.from_numpy(np.array(label))[None]  # (1, H, W)
        size = tuple(round(side * config.model.input_scale) for side in label.shape)
        enlarged = reduce_labels(reduce_labels(full, size), label.shape)[0].numpy()  # (H, W)
        totals.append(metrics.counts(np.where(enlarged == metrics.VOID, label, enlarged), label, classes))
    return metrics.iou(np.asarray(totals).sum(0, dtype=np.int64))
