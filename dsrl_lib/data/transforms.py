"""Joint transforms: one geometry for the LR input, the HR image and the HR labels.

A frame is thought of as resized to its `frame_size` and scaled by a factor; a crop is cut from that. Both
happen in one resized crop of the stored frame, whose box is in whole source pixels and is the same for image
and labels. Reduction is anti-aliased, labels take the nearest pixel centre, padding is void.
align_corners=False throughout.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.allowed import above, at_least, check
from dsrl_lib.config import Data
from dsrl_lib.data.class_tables import VOID
from dsrl_lib.data.photometric import Colour, jitter_colour
from dsrl_lib.data.rotation import margins, turned, widened
from dsrl_lib.own_data import dataset

MEAN_COLOUR = (124, 116, 104)
"""ImageNet mean in RGB, 0..255: padding that is zero after normalisation."""

FILL = {"mean": MEAN_COLOUR, "black": (0, 0, 0)}
"""The colour of what lies outside the frame, by `data.padding`."""


@dataclass(frozen=True)
class Geometry:
    """Where a crop lies: a box of the stored frame goes to a box of the crop; the rest is padding."""

    source: tuple[int, int, int, int]
    """top, left, height, width in pixels of the stored frame."""
    target: tuple[int, int, int, int]
    """top, left, height, width in pixels of the crop."""
    flip: bool
    angle: float = 0.0
    """Degrees by which the crop is turned about its centre, anticlockwise, after the flip."""


def frame_size(stored: tuple[int, int], data: Data, scale: float = 1) -> tuple[int, int]:
    """The HR size (H, W) to which a frame stored as (H0, W0) is brought, in training, evaluation and prediction alike.

    If all frames of the data set have one size and this frame has its aspect (to a pixel), it is height x width of the
    configuration. Any other frame keeps its aspect: it is brought to the height, whatever its width becomes. So a
    photograph is not distorted by a network of 4:3 frames. In training, what is larger than a crop is cut, and what
    is smaller is padded. scale: of both sides, for test-time augmentation.
    """
    height, width = data.height, stored[1] / stored[0] * data.height
    one_size = dataset(data.dataset).one_size
    if one_size and abs(stored[1] - stored[0] * one_size[1] / one_size[0]) <= 1:
        width = data.width
    return max(1, round(height * scale)), max(1, round(width * scale))


def draw_geometry(rng: np.random.Generator, stored: tuple[int, int], data: Data) -> Geometry:
    """Scale uniform in [scale_min, scale_max], position uniform over all whole positions, flip, angle.

    stored: (H0, W0) of the frame as stored.
    """
    scale = rng.uniform(data.scale_min, data.scale_max)
    hr_height, hr_width = frame_size(stored, data)
    top, height, to_top, to_height = _axis(rng, stored[0], hr_height * scale, data.crop_height)
    left, width, to_left, to_width = _axis(rng, stored[1], hr_width * scale, data.crop_width)
    flip = bool(rng.random() < data.flip)
    angle = rng.uniform(-data.rotation, data.rotation) if data.rotation else 0.0  # nothing drawn: old samples stay
    return Geometry((top, left, height, width), (to_top, to_left, to_height, to_width), flip, angle)


def _axis(rng: np.random.Generator, stored: int, scaled: float, crop: int) -> tuple[int, int, int, int]:
    """Start and length in the frame, start and length in the crop, along one axis."""
    length = max(1, round(crop * stored / scaled))
    if length <= stored:
        return int(rng.integers(stored - length + 1)), length, 0, crop
    filled = min(crop, max(1, round(scaled)))
    return 0, stored, int(rng.integers(crop - filled + 1)), filled


def crop_image(
    image: np.ndarray,
    geometry: Geometry,
    size: tuple[int, int],
    colour: Colour = (1, 1, 1),
    fill: tuple[int, int, int] = MEAN_COLOUR,
) -> Tensor:
    """uint8 (H0, W0, 3) -> uint8 (3, H, W), padded with the colour `fill`."""
    wide, wide_size = _with_margins(geometry, image.shape[:2], size)
    part = jitter_colour(_resized(_channels_first(_cut(image, wide)), wide.target[2:]), colour)
    crop = _place(part, wide, wide_size, torch.tensor(fill)[:, None, None])
    return turned(crop, size, geometry.angle, fill, smooth=True) if geometry.angle else crop


def crop_label(label: np.ndarray, geometry: Geometry, size: tuple[int, int]) -> Tensor:
    """uint8 (H0, W0) -> uint8 (H, W), padded with void."""
    wide, wide_size = _with_margins(geometry, label.shape, size)
    part = reduce_labels(torch.from_numpy(_cut(label, wide).copy())[None], wide.target[2:])[0]
    crop = _place(part, wide, wide_size, torch.tensor(VOID))
    return turned(crop[None], size, geometry.angle, [VOID], smooth=False)[0] if geometry.angle else crop


def _with_margins(
    geometry: Geometry, stored: tuple[int, int], size: tuple[int, int]
) -> tuple[Geometry, tuple[int, int]]:
    """The crop that a turned one is cut from, and its size; the crop itself if it is not turned."""
    if not geometry.angle:
        return geometry, size
    pairs = zip(stored, geometry.source[:2], geometry.source[2:], geometry.target[:2], geometry.target[2:], strict=True)
    around = margins(size, geometry.angle)
    axes = [widened(*axis, margin) for axis, margin in zip(pairs, around, strict=True)]  # rows, columns
    start, length, to, filled = zip(*axes, strict=True)
    wide_size = (size[0] + 2 * around[0], size[1] + 2 * around[1])
    return replace(geometry, source=(*start, *length), target=(*to, *filled)), wide_size


def _cut(array: np.ndarray, geometry: Geometry) -> np.ndarray:
    top, left, height, width = geometry.source
    return array[top : top + height, left : left + width]


def _place(part: Tensor, geometry: Geometry, size: tuple[int, int], fill: Tensor) -> Tensor:
    """The part of a frame in its crop, uint8 (..., h, w) -> (..., *size), and the rest of the crop filled."""
    top, left, height, width = geometry.target
    if (height, width) != size:
        crop = fill.to(part.dtype).expand(*part.shape[:-2], *size).clone()  # (..., *size)
        crop[..., top : top + height, left : left + width] = part
        part = crop
    return part.flip(-1) if geometry.flip else part


def resize_image(image: np.ndarray, height: int, width: int) -> Tensor:
    """The whole frame at a size, anti-aliased: uint8 (H0, W0, 3) -> uint8 (3, height, width)."""
    return _resized(_channels_first(image), (height, width))


def reduce_image(image: Tensor, input_scale: float) -> Tensor:
    """The LR input, anti-aliased: uint8 (3, H, W) -> uint8 (3, round(H * s), round(W * s)). ValueError if no pixel is
    left of it."""
    check("input_scale", input_scale, Annotated[float, above(0)])
    if input_scale == 1:
        return image
    height, width = size = tuple(round(side * input_scale) for side in image.shape[1:])
    if min(size) < 1:
        raise ValueError(f"input_scale = {input_scale} leaves {height} x {width} pixels of {tuple(image.shape[1:])}")
    return _resized(image, size)


def evaluation_input(image: np.ndarray, height: int, width: int, input_scale: float) -> Tensor:
    """The input of a whole frame, reduced in the same two steps as in training: frame -> HR -> LR.

    image: uint8 (H0, W0, 3). Returns uint8 (3, round(height * s), round(width * s)). ValueError for another image, such
    as floats in [0, 1], and for a size without a pixel.
    """
    check_rgb("image", image)
    check("height", height, Annotated[int, at_least(1)])
    check("width", width, Annotated[int, at_least(1)])
    return reduce_image(resize_image(image, height, width), input_scale)


def check_rgb(name: str, image: np.ndarray) -> None:
    """ValueError with the name unless it is an image as `cv2` or PIL reads one, in RGB: uint8 (H, W, 3)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} is {image.dtype} {image.shape}; allowed: uint8 (H, W, 3), RGB")


def reduce_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels at another size by the nearest pixel centre: uint8 (B, H, W) -> uint8 (B, *size)."""
    return F.interpolate(labels[:, None], size, mode="nearest-exact")[:, 0]


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear and anti-aliased, in the integers of the image: uint8 (3, H0, W0) -> uint8 (3, *size).

    torchvision's `resize` gives the same bits where it too computes in uint8; to import it doubles the start.
    """
    if tuple(image.shape[1:]) == size:
        return image
    batch = image.permute(1, 2, 0)[None].permute(0, 3, 1, 2)  # (1, 3, H0, W0) whose strides say channels last
    return F.interpolate(batch, size, mode="bilinear", align_corners=False, antialias=True)[0]  # (3, *size)


def _channels_first(image: np.ndarray) -> Tensor:
    """A copy of a read-only frame as (3, H, W), channels last in memory: uint8 resizing is fastest there."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)
