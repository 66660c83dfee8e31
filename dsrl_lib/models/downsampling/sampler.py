"""The frame at the sampling locations: J_ij = I(phi_ij) (Marin et al., ICCV 2019, Sec. 3)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dsrl_lib.models.downsampling.inverse import grid_coordinates
from dsrl_lib.models.downsampling.locations import resize_locations
from dsrl_lib.models.sizes import exporting, last_places

FILTERS = ("footprint", "bilinear", "nearest")


def sample(
    image: Tensor,
    locations: Tensor,
    size: tuple[int, int] | None = None,
    filter: str = "footprint",
    places: Tensor | None = None,
) -> Tensor:
    """The image at the locations, (B, C, h, w).

    image: (B, C, H, W), float; half precision is raised to float32, since a footprint may add up many pixels.
    locations: (B, n, m, 2), row and column in [0, 1].
    size: (h, w), first resize the locations to this size; None samples at the n x m locations themselves.
    filter: "footprint" averages over each sample's footprint, so that nothing aliases. A pixel gives its value to the
        four corners of its cell with bilinear weights, which makes this the normalised adjoint of `interpolate_back`;
        on a uniform grid it is the triangle filter of anti-aliased resizing. A sample whose footprint holds less than
        one pixel takes the rest of its weight from bilinear sampling. "bilinear" is bilinear sampling alone, and
        "nearest" takes the nearest pixel.
    places: `grid_coordinates` of the resized locations, (B, H, W, 2), where they are known already.

    Raises ValueError for another filter, if the shapes do not fit, or if footprints do not cover the frame.
    """
    if filter not in FILTERS:
        raise ValueError(f"sample: filter={filter!r}; allowed: {', '.join(FILTERS)}")
    if image.dim() != 4 or locations.dim() != 4 or locations.shape[3] != 2 or locations.shape[0] != image.shape[0]:
        raise ValueError(
            f"sample: image {tuple(image.shape)} and locations {tuple(locations.shape)}; allowed: (B, C, H, W) and "
            "(B, n, m, 2)"
        )
    image = image if image.dtype == torch.float64 else image.float()
    grid = locations if size is None else resize_locations(locations, size)  # (B, h, w, 2)
    at = (2 * grid - 1).flip(-1).to(image.dtype)
    # DEVIATION: adaptive downsampling averages over footprints. The released code (Marin et al.) picks the nearest
    # pixel, and its uniform baseline does too. Such samples alias.
    mode = "nearest" if filter == "nearest" else "bilinear"
    points = F.grid_sample(image, at, mode=mode, padding_mode="border", align_corners=True)  # (B, C, h, w)
    if filter != "footprint":
        return points
    places = grid_coordinates(grid, tuple(image.shape[2:])) if places is None else places  # (B, H, W, 2)
    sums, area = _footprints(image, places, tuple(grid.shape[1:3]))
    rest = (1 - area).clamp_min(0)
    return (sums + rest * points) / (area + rest)


def _footprints(image: Tensor, places: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sum of the image over the footprint of each sample, (B, C, *size), and the pixels in it, (B, 1, *size)."""
    return _implementation(image)(image, places, size).split((image.shape[1], 1), 1)


def _implementation(image: Tensor) -> Callable[[Tensor, Tensor, tuple[int, int]], Tensor]:
    """Who adds up: a compiled loop on the CPU, else all pixels of a corner at once, which has gradients too."""
    if image.device.type == "cpu" and not image.requires_grad and not exporting():
        from dsrl_lib.models.downsampling.sampler_numba import loop_over_pixels

        return loop_over_pixels
    return _corner_by_corner


def _corner_by_corner(image: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Sums over footprints, of the image and of ones, (B, C + 1, *size). places: see `grid_coordinates`."""
    B, C = image.shape[:2]
    h, w = size
    places = places.flatten(1, 2)  # (B, HW, 2)
    low = torch.minimum(places.floor(), last_places(size, places.device) - 1.0)
    share = (places - low).to(image.dtype)
    low = low.long()
    pixels = torch.cat((image, torch.ones_like(image[:, :1])), 1).flatten(2)  # (B, C + 1, HW)
    sums = image.new_zeros(B, C + 1, h * w)
    for down in (0, 1):
        for right in (0, 1):
            weight = (share[..., 0] if down else 1 - share[..., 0]) * (share[..., 1] if right else 1 - share[..., 1])
            node = (low[..., 0] + down) * w + low[..., 1] + right  # (B, HW)
            sums.scatter_add_(2, node[:, None].expand_as(pixels), pixels * weight[:, None])
    return sums.view(B, C + 1, h, w)
