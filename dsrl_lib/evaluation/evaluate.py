"""The one loop over the images of a split: evaluation at the ORIGINAL label size, with integer counts per image."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from dsrl_lib import distributed, metrics
from dsrl_lib.config import Config
from dsrl_lib.data import lazy
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.frames import DataError, image_size
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import frame_size
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.details import (
    OBJECT_PX,
    TRIMAP_PX,
    object_recall,
    object_sizes,
    reconstruction_quality,
    trimap_counts,
    trimap_rings,
)
from dsrl_lib.evaluation.forward import check_classes, check_size, class_ids
from dsrl_lib.evaluation.given_locations import given_locations, location_errors
from dsrl_lib.evaluation.tta import augmented_inputs, log_probabilities, mean_output
from dsrl_lib.memory import free_bytes
from dsrl_lib.progress import bar


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a split gives. K classes, I images. Without `details`, trimap has no bands, objects none."""

    names: list[str]
    sequences: list[str]
    counts: np.ndarray
    """int32 (I, K, 3): true positives, false positives, false negatives."""
    trimap: np.ndarray
    """int32 (I, bands, K, 3): the same, inside each band of TRIMAP_PX."""
    object_recall: np.ndarray
    """int64 (K, size bins, 2): pixels of objects found, and pixels in all, by object size."""
    psnr: np.ndarray
    """(I,) dB; NaN without a SISR branch."""
    ssim: np.ndarray
    """(I,); NaN without a SISR branch, and without details."""
    nll: np.ndarray
    """(I,) nats: the sum of -log(probability of the true class) over the labelled pixels; NaN without details."""
    location_error: np.ndarray
    """(I, 2): of predicted and of uniform sampling locations (`location_errors`); NaN if none are predicted."""

    @property
    def miou(self) -> float:
        """Mean IoU in [0, 1]."""
        return metrics.miou(self.counts)

    @property
    def cross_entropy(self) -> float:
        """Mean over all labelled pixels, in nats."""
        labelled = self.counts[..., [0, 2]].sum(dtype=np.int64)  # TP + FN
        return float(self.nll.sum() / max(labelled, 1))

    def arrays(self) -> dict[str, np.ndarray]:
        """The content of counts_<split>.npz."""
        return {
            "counts": self.counts,
            "images": np.array(self.names),
            "sequences": np.array(self.sequences),
            "trimap": self.trimap,
            "trimap_px": np.array(TRIMAP_PX),
            "object_recall": self.object_recall,
            "psnr": self.psnr.astype(np.float32),
            "ssim": self.ssim.astype(np.float32),
        }

    def summary(self) -> dict[str, object]:
        """Scalars for metrics.json."""
        iou = metrics.iou(self.counts.sum(0, dtype=np.int64))
        scores = {"miou": self.miou, "iou": iou.tolist(), "psnr": _mean(self.psnr), "ssim": _mean(self.ssim)}
        if np.isnan(self.location_error).all():
            return scores
        predicted, uniform = self.location_error.mean(0).tolist()
        return scores | {"location_error": predicted, "location_error_uniform": uniform}


def check_frames(split: Split, config: Config, device: torch.device, scales: Sequence[float] = (1,)) -> None:
    """DataError that names a frame of a split that no network of `config` can take at these scales (`check_size`), or
    whose logits are larger than the memory that is free. On a GPU, PyTorch says so itself; on the CPU the system may
    kill the process."""
    classes = len(class_table(config.data.dataset).classes)
    free = free_bytes() if device.type == "cpu" else math.inf
    for frame in split.images.frames if isinstance(split.images, lazy.Images) else ():
        height, width = image_size(frame.image)
        try:
            check_size((height, width), config, min(scales))
        except ValueError as error:
            raise DataError(f"{frame.image} cannot be evaluated: {error}") from None
        # The logits at the size of the labels and at that of the frame, or their probabilities, are in memory together.
        largest = max(height * width, math.prod(frame_size((height, width), config.data, max(scales))))
        if (needed := 4 * classes * (height * width + largest)) > free:
            raise DataError(
                f"{frame.image} cannot be evaluated: the logits of {height} x {width} pixels and {classes} classes "
                f"need {needed / 1e9:.1f} GB of memory or more, and {free / 1e9:.1f} GB are free"
            )


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    split: Split,
    config: Config,
    *,
    tta: TTA | None = None,
    details: bool = True,
    workers: int = 0,
    worker_init_fn: Callable[[int], None] | None = None,
    progress: bool = False,
) -> Evaluation:
    """Run `model` (see `models.DSRL`) over a split.

    Each frame is brought to its HR size (`frame_size`), reduced to the input, and its logits are resized bilinearly
    to the size of the label map before the arg-max. Several processes share the frames, each once, and all of them
    get the whole result.

    tta: test-time augmentation; PSNR and SSIM are those of the plain input, so NaN with it. details: also fill trimap,
    object_recall, nll and SSIM (they cost time). workers: processes that prepare the inputs, and find boundaries and
    objects in the labels. worker_init_fn: called in each of them, with its number. Errors as `check_classes`.
    """
    check_classes(model, config)
    model.eval()
    tta, device, classes = tta or TTA(), next(model.parameters()).device, model.host.classes
    mine = range(distributed.rank(), len(split), distributed.size())
    samples = DataLoader(
        _Samples(split, config, tta, details),
        sampler=mine,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=worker_init_fn,
    )
    shown = bar(samples, "evaluate", len(mine), unit=" images", disable=not progress)
    rows = []
    for index, sample in zip(mine, shown, strict=True):
        label = sample["label"].numpy()
        given = given_locations(model, split, index, config)
        frames = [frame.to(device) for frame in sample["inputs"]]
        mean, reconstruction = mean_output(model, frames, config, label.shape, tta, given)
        prediction = class_ids(mean, label.shape)
        row: dict[str, Any] = {"counts": metrics.counts(prediction, label, classes)}
        if details:
            row["trimap"] = trimap_counts(prediction, label, sample["rings"].numpy(), classes)
            row["object_recall"] = object_recall(prediction, label, sample["sizes"].numpy(), classes)
            row["nll"] = _negative_log_likelihood(mean, label, tta)
        if config.downsampling.locations == "predicted" and tta.none:
            row["location_error"] = location_errors(model, frames[0], label, config)
        if reconstruction is not None:
            image = sample["image"].numpy()
            row["psnr"], row["ssim"] = reconstruction_quality(reconstruction, image, with_ssim=details)
        rows.append(row)
    return _evaluation(split, _in_order(distributed.gather(rows)), classes)


def _negative_log_likelihood(mean: Tensor, label: np.ndarray, tta: TTA) -> float:
    truth = torch.from_numpy(label.astype(np.int64))[None].to(mean.device)  # (1, H, W)
    losses = F.nll_loss(log_probabilities(mean, tta), truth, ignore_index=metrics.VOID, reduction="none")  # (1, H, W)
    return losses.double().sum().item()


class _Samples(Dataset):
    """By index of the frame: its inputs and label, the image if it is reconstructed and, for details, what they need
    of the label alone."""

    def __init__(self, split: Split, config: Config, tta: TTA, details: bool) -> None:
        self.split, self.config, self.tta, self.details = split, config, tta, details

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> dict[str, Any]:
        label = np.array(self.split.labels[index])  # a copy: PyTorch warns of memory that cannot be written
        image = self.split.images[index]
        sample = {"inputs": augmented_inputs(image, self.config, self.tta), "label": label}
        sample |= {"image": np.array(image)} if self.config.model.sisr else {}
        return sample | ({"rings": trimap_rings(label), "sizes": object_sizes(label)} if self.details else {})


def _evaluation(split: Split, rows: Sequence[dict], classes: int) -> Evaluation:
    """rows: what was found, by name, for each image in order; what is missing was not asked for."""
    empty = {
        "trimap": np.zeros((0, classes, 3), np.int32),
        "object_recall": np.zeros((classes, len(OBJECT_PX) + 1, 2), np.int64),
        "psnr": np.nan,
        "ssim": np.nan,
        "nll": np.nan,
        "location_error": (np.nan, np.nan),
    }
    columns = {name: np.stack([row.get(name, empty.get(name)) for row in rows]) for name in ("counts", *empty)}
    columns["object_recall"] = columns["object_recall"].sum(0)
    return Evaluation(list(split.names), list(split.sequences), **columns)


def _in_order(shares: Sequence[list]) -> list:
    """Shares of processes, of which number r has the items r, r + n, ... -> all items in their order."""
    return [shares[index % len(shares)][index // len(shares)] for index in range(sum(map(len, shares)))]


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
