"""Evaluation of a split at the ORIGINAL label size, one image at a time, with integer counts per image kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, find_objects
from scipy.ndimage import label as components
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from dsrl_lib import distributed, metrics
from dsrl_lib.config import Config
from dsrl_lib.data.normalise import denormalise, normalise
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import evaluation_input, frame_size, resize_image
from dsrl_lib.device import autocast
from dsrl_lib.training.signals import ignore_in_worker

TRIMAP_PX = (1, 2, 4, 8, 16)
"""Trimap bands: pixels at most this far from a boundary between two classes (Kohli et al., 2009)."""

OBJECT_PX = (64, 256, 1024, 4096)
"""Upper bounds of the object size bins, in label pixels; the last bin is open."""


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a split gives. K classes, I images."""

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
    """(I,); NaN without a SISR branch."""

    @property
    def miou(self) -> float:
        return metrics.miou(self.counts)

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
        return {"miou": self.miou, "iou": iou.tolist(), "psnr": _mean(self.psnr), "ssim": _mean(self.ssim)}


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, config: Config, *, details: bool = True, workers: int = 0) -> Evaluation:
    """Run `model` (see `models.DSRL`) over a split.

    Each frame is brought to its HR size (`frame_size`), reduced to the input, and its logits are resized bilinearly
    to the size of the label map before the arg-max. details: also fill trimap and object_recall (they cost time).
    Several processes share the frames, each once, and all of them get the whole result.
    """
    model.eval()
    device = next(model.parameters()).device
    classes = model.host.classes
    rows: dict[str, list] = {"counts": [], "trimap": [], "psnr": [], "ssim": []}
    recall = np.zeros((classes, len(OBJECT_PX) + 1, 2), np.int64)
    mine = range(distributed.rank(), len(split), distributed.size())
    for index, frame in zip(mine, _inputs(split, mine, config, workers), strict=True):
        out = forward(model, frame.to(device), config)
        label = split.labels[index]
        prediction = predict(out["logits"], label.shape)
        rows["counts"].append(metrics.counts(prediction, label, classes))
        if details:
            rows["trimap"].append(trimap_counts(prediction, label, classes))
            recall += object_recall(prediction, label, classes)
        psnr, ssim = _quality(out["image"], split, index) if "image" in out else (np.nan, np.nan)
        rows["psnr"].append(psnr)
        rows["ssim"].append(ssim)
    shares = distributed.gather((rows, recall))
    rows = {name: _in_order([share[name] for share, _ in shares]) for name in rows}
    recall = sum(found for _, found in shares)
    trimap = np.stack(rows["trimap"]) if details else np.zeros((len(split), 0, classes, 3), np.int32)
    return Evaluation(
        list(split.names), list(split.sequences), np.stack(rows["counts"]), trimap, recall,
        np.array(rows["psnr"]), np.array(rows["ssim"]),
    )  # fmt: skip


def forward(model: nn.Module, frame: Tensor, config: Config) -> dict[str, Tensor]:
    """The network on one uint8 frame (3, h, w) in the precision of the run; outputs as in `DSRL.forward`."""
    with autocast(frame.device, config.optim.precision):
        return model(normalise(frame[None]).contiguous(memory_format=torch.channels_last))



def predict(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Logits of one image, (1, K, h, w) -> class ids uint8 (H, W) at `size`."""
    logits = logits.float()
    if tuple(logits.shape[2:]) != tuple(size):
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)  # (1, K, H, W)
    return logits.argmax(1)[0].to(torch.uint8).cpu().numpy()  # (H, W)


def boundary_distance(label: np.ndarray) -> np.ndarray:
    """Distance in pixels to the nearest boundary between two classes, 1 beside it; infinite without boundaries.

    label: (H, W) ids, 255 is void: an edge of void is no boundary.
    """
    edge = np.zeros(label.shape, bool)
    for ahead, behind in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        change = (label[ahead] != label[behind]) & (label[ahead] != metrics.VOID) & (label[behind] != metrics.VOID)
        edge[ahead] |= change
        edge[behind] |= change
    return distance_transform_edt(~edge) + 1 if edge.any() else np.full(label.shape, np.inf)


def trimap_counts(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Counts inside each band of TRIMAP_PX around the class boundaries, int32 (bands, K, 3)."""
    ring = np.searchsorted(TRIMAP_PX, boundary_distance(label))  # (H, W): number of the band it first lies in
    rings = [metrics.counts(prediction[ring == n], label[ring == n], classes) for n in range(len(TRIMAP_PX))]
    return np.cumsum(rings, axis=0, dtype=np.int32)


def object_recall(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Found and total pixels of each class by size of the object (connected component), int64 (K, bins, 2)."""
    result = np.zeros((classes, len(OBJECT_PX) + 1, 2), np.int64)
    for k, box in enumerate(find_objects(label.astype(np.int16) + 1, classes)):
        if box is None:  # absent
            continue
        objects, count = components(label[box] == k)
        total = np.bincount(objects.ravel(), minlength=count + 1)[1:]
        found = np.bincount(objects[prediction[box] == k], minlength=count + 1)[1:]
        bins = np.searchsorted(OBJECT_PX, total)
        np.add.at(result[k], bins, np.stack([found, total], axis=1))
    return result


def _quality(image: Tensor, split: Split, index: int) -> tuple[float, float]:
    # Lazy: torchmetrics takes seconds to import, and most arms have no image.
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    target = resize_image(split.images[index], *image.shape[2:])[None].to(image.device) / 255
    restored = denormalise(image).clamp(0, 1)  # (1, 3, H, W)
    psnr = peak_signal_noise_ratio(restored, target, data_range=1.0)
    return float(psnr), float(structural_similarity_index_measure(restored, target, data_range=1.0))


class _Frames(Dataset):
    def __init__(self, split: Split, config: Config) -> None:
        self.split, self.config = split, config

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Tensor:
        image = self.split.images[index]
        return evaluation_input(image, *frame_size(image.shape[:2], self.config.data), self.config.model.input_scale)


def _inputs(split: Split, indices: Sequence[int], config: Config, workers: int) -> Iterator[Tensor]:
    frames = _Frames(split, config)
    return iter(
        DataLoader(frames, sampler=indices, batch_size=None, num_workers=workers, worker_init_fn=ignore_in_worker)
    )


def _in_order(shares: Sequence[list]) -> list:
    """Shares of processes, of which number r has the items r, r + n, ... -> all items in their order."""
    return [shares[index % len(shares)][index // len(shares)] for index in range(sum(map(len, shares)))]


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
