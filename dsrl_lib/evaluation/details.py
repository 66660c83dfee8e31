"""Where a network is right: near class boundaries, on objects of each size, and in the reconstruction."""

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects
from scipy.ndimage import label as components
from torch import Tensor

from dsrl_lib import metrics
from dsrl_lib.data.normalise import denormalise
from dsrl_lib.data.transforms import resize_image
from dsrl_lib.models.downsampling.targets import boundary_pixels

TRIMAP_PX = (1, 2, 4, 8, 16)
"""Trimap bands: pixels at most this far from a boundary between two classes (Kohli et al., 2009)."""

OBJECT_PX = (64, 256, 1024, 4096)
"""Upper bounds of the object size bins, in label pixels; the last bin is open."""

SSIM_SIDE = 6
"""Pixels: the window of SSIM, 11 x 11, is mirrored at the edges, and does not fit into less."""


def boundary_distance(label: np.ndarray) -> np.ndarray:
    """Distance in pixels to the nearest boundary between two classes, 1 beside it; infinite without boundaries.

    label: (H, W) ids, 255 is void: an edge of void is no boundary. Returns float64 (H, W).
    """
    edge = boundary_pixels(label)
    return distance_transform_edt(~edge) + 1 if edge.any() else np.full(label.shape, np.inf)


def trimap_rings(label: np.ndarray) -> np.ndarray:
    """The narrowest band of TRIMAP_PX that each pixel lies in, by its number: uint8 (H, W); their number for none.

    label: (H, W) class ids, as for `metrics.counts`.
    """
    return np.searchsorted(TRIMAP_PX, boundary_distance(label)).astype(np.uint8)


def object_sizes(label: np.ndarray) -> np.ndarray:
    """The size bin (OBJECT_PX) of the object, a connected component, that each pixel lies in: uint8 (H, W).

    label: (H, W) class ids, as for `metrics.counts`; void lies in no object, and has 0.
    """
    sizes = np.zeros(label.shape, np.uint8)
    for k, box in enumerate(find_objects(label.astype(np.int16) + 1, metrics.VOID)):
        if box is None:  # absent
            continue
        objects, _ = components(label[box] == k)
        bins = np.searchsorted(OBJECT_PX, np.bincount(objects.ravel()))  # that of number 0, the rest, is not used
        sizes[box][objects > 0] = bins[objects[objects > 0]]
    return sizes


def trimap_counts(prediction: np.ndarray, label: np.ndarray, rings: np.ndarray, classes: int) -> np.ndarray:
    """Counts inside each band of TRIMAP_PX around the class boundaries, int32 (bands, K, 3).

    prediction, label: (H, W) class ids, as for `metrics.counts`. rings: those of the label (`trimap_rings`).
    """
    each = [metrics.counts(prediction[rings == n], label[rings == n], classes) for n in range(len(TRIMAP_PX))]
    return np.cumsum(each, axis=0, dtype=np.int32)


def object_recall(prediction: np.ndarray, label: np.ndarray, sizes: np.ndarray, classes: int) -> np.ndarray:
    """Found and total pixels of each class by size of the object, int64 (K, bins, 2).

    prediction, label: (H, W) class ids, as for `metrics.counts`. sizes: those of the label (`object_sizes`).
    """
    known, bins = label != metrics.VOID, len(OBJECT_PX) + 1
    place = label[known].astype(np.int64) * bins + sizes[known]
    found = place[prediction[known] == label[known]]
    counted = [np.bincount(places, minlength=classes * bins) for places in (found, place)]
    return np.stack(counted, axis=1).reshape(classes, bins, 2)


def reconstruction_quality(reconstruction: Tensor, image: np.ndarray, with_ssim: bool = True) -> tuple[float, float]:
    """PSNR in dB and SSIM of a reconstruction against the image at its size; SSIM is NaN below SSIM_SIDE, or if it is
    not asked for.

    reconstruction: (1, 3, H, W), normalised. image: uint8 (H0, W0, 3).
    """
    # Lazy: torchmetrics takes seconds to import, and most arms reconstruct nothing.
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    target = resize_image(image, *reconstruction.shape[2:])[None].to(reconstruction.device) / 255
    restored = denormalise(reconstruction).clamp(0, 1)  # (1, 3, H, W)
    psnr = float(peak_signal_noise_ratio(restored, target, data_range=1.0))
    if not with_ssim or min(restored.shape[2:]) < SSIM_SIDE:
        return psnr, float("nan")
    return psnr, float(structural_similarity_index_measure(restored, target, data_range=1.0))
