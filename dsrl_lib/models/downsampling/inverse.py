"""From scores at the sampling locations back to all pixels of the frame (Marin et al., ICCV 2019, Sec. 3).

The samples keep the topology of their grid. So each pixel lies in a bilinear cell of known corners, and its position
there is the root of one quadratic: no triangulation, and the result is exact for scores that are linear in the frame.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dsrl_lib.models.downsampling.locations import resize_locations
from dsrl_lib.models.sizes import exporting, last_places


def interpolate_back(scores: Tensor, locations: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores of all pixels of the frame, (B, K, H, W), bilinear in the cells of the sampling grid.

    Differentiable in the scores. Scores in half precision are raised to float32.

    scores: (B, K, h, w). locations: (B, n, m, 2), the grid that was sampled, or the coarse grid that it was resized
    from. size: (H, W) of the frame.

    Raises ValueError if the shapes do not fit or if the cells leave a pixel out.
    """
    if scores.dim() != 4 or locations.dim() != 4 or locations.shape[0] != scores.shape[0] or locations.shape[3] != 2:
        raise ValueError(
            f"interpolate_back: scores {tuple(scores.shape)} and locations {tuple(locations.shape)}; allowed: "
            "(B, K, h, w) and (B, n, m, 2)"
        )
    sampled = tuple(scores.shape[2:])
    places = grid_coordinates(resize_locations(locations.detach(), sampled), size)  # (B, H, W, 2)
    return at_places(scores, places, sampled)


def at_places(scores: Tensor, places: Tensor, sampled: tuple[int, int]) -> Tensor:
    """Scores at places of the grid that `grid_coordinates` found, (B, K, H, W). The rest as in `interpolate_back`.

    sampled: (h, w) of the sampled image. Scores of another size are taken to cover the same extent as it, as everywhere
    in the project (align_corners=False).
    """
    # DEVIATION: adaptive downsampling brings scores back in the bilinear cells of its grid. The released code (Marin et
    # al.) interpolates in triangles between the locations. Both are exact for linear scores, and differ for others.
    scores = scores if scores.dtype == torch.float64 else scores.float()
    # Sample i of h has its centre at (2 i + 1) / h - 1 in the coordinates of align_corners=False.
    at = (2 * places + 1) / (last_places(sampled, places.device) + 1) - 1
    return F.grid_sample(scores, at.flip(-1).to(scores.dtype), padding_mode="border", align_corners=False)


@torch.no_grad()
def grid_coordinates(locations: Tensor, size: tuple[int, int]) -> Tensor:
    """Where each pixel lies in the grid, (B, H, W, 2): its row in [0, n - 1] and its column in [0, m - 1], float64.

    locations: (B, n, m, 2) that cover the frame, such as solved or `unfolded` ones. If a grid folds, a pixel takes one
    of its places. size: (H, W), at least 2 each.

    Raises ValueError if a pixel lies in no cell.
    """
    if any(side < 2 for side in size):
        raise ValueError(f"grid_coordinates: size={tuple(size)!r}; allowed: (H, W), at least 2 each")
    if exporting():  # a file holds no loop over images, and does not judge what it is given
        return pairs_of_cells_and_pixels(*_in_pixels(locations, size))
    if not locations.isfinite().all():
        raise ValueError("interpolate_back: locations are not finite; allowed: row and column in [0, 1]")
    nodes, size, tolerance = _in_pixels(locations, size)
    find = _implementation(nodes)
    # One image at a time: the memory is that of a few maps of the frame, whatever the batch.
    index = torch.cat([find(grid[None], size, tolerance) for grid in nodes])  # (B, H, W, 2)
    if missing := int(index.isnan().any(-1).flatten(1).sum(1).max()):
        raise ValueError(
            f"interpolate_back: {missing} pixels of a frame {tuple(size)} lie in no cell of the sampling grid; "
            "allowed: locations that cover the frame, see `unfolded`"
        )
    return index


def _in_pixels(locations: Tensor, size: tuple[int, int]) -> tuple[Tensor, tuple[int, int], float]:
    """Locations in pixels, with what else finds the cells: the size of the frame, and a tolerance."""
    precise, tolerance = (torch.float32, 1e-4) if locations.device.type == "mps" else (torch.float64, 1e-6)
    return locations.to(precise) * last_places(size, locations.device), size, tolerance


def _implementation(nodes: Tensor) -> Callable[[Tensor, tuple[int, int], float], Tensor]:
    """Who finds the cells: a compiled loop on the CPU, else all pairs at once."""
    if nodes.device.type == "cpu":
        from dsrl_lib.models.downsampling.inverse_numba import loop_over_cells

        return loop_over_cells
    return pairs_of_cells_and_pixels


def pairs_of_cells_and_pixels(nodes: Tensor, size: tuple[int, int], tolerance: float) -> Tensor:
    """(B, H, W, 2), NaN where a pixel lies in no cell: tries every cell with every pixel of its bounding box, at once.

    Plain operations alone, which an exporter can follow.

    nodes: (B, n, m, 2) in pixels. tolerance: in pixels and in cells, for pixels on an edge.
    """
    (H, W), (batch, n, m) = size, nodes.shape[:3]
    corners = torch.stack((nodes[:, :-1, :-1], nodes[:, 1:, :-1], nodes[:, :-1, 1:], nodes[:, 1:, 1:]))
    corners = corners.flatten(1, 3).permute(2, 0, 1)  # (2, 4, cells)
    last = last_places(size, nodes.device)[:, None]
    low = torch.minimum((corners.amin(1) - tolerance).ceil().long().clamp_min(0), last)  # (2, cells)
    high = torch.minimum((corners.amax(1) + tolerance).floor().long(), last)
    extent = (high - low + 1).clamp_min(1)  # a pixel for every cell: it does not matter if it lies elsewhere
    count = extent[0] * extent[1]  # pixels of the bounding box

    pair = torch.arange(count.sum(), device=nodes.device)
    before = count.cumsum(0) - count  # pairs of earlier cells
    cell = torch.zeros_like(pair).scatter_add(0, before, torch.ones_like(before)).cumsum(0) - 1  # (pairs,)
    place, width = pair - before[cell], extent[1, cell]
    row, column = low[0, cell] + place // width, low[1, cell] + place % width
    inner = _invert(corners.index_select(2, cell), row.to(nodes), column.to(nodes))  # (pairs, 2)
    inside = ((inner >= -tolerance) & (inner <= 1 + tolerance)).all(1)  # NaN is outside

    # A pixel on an edge has several cells that agree. The last one is taken: a repeated call gives the same bits.
    axes = (torch.arange(length, device=nodes.device) for length in (batch, n - 1, m - 1))
    origin = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 2)[cell]  # (pairs, 3): image, row, column
    chosen = torch.full((batch * H * W,), -1, device=nodes.device)
    at = (origin[:, 0] * H + row) * W + column
    chosen = chosen.scatter_reduce(0, at, torch.where(inside, pair, -1), "amax")
    nowhere = nodes.new_full((1, 2), torch.nan)  # the last one, which is number -1
    return torch.cat((origin[:, 1:] + inner.clamp(0, 1), nowhere))[chosen].view(batch, H, W, 2)


def _invert(corners: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """(s, t) of points in bilinear cells, (pairs, 2): point = p00 + s e + t f + s t g. NaN where there is none.

    corners: rows and columns of p00, p10, p01, p11, (2, 4, pairs). With h = point - p00 the line of constant s
    through the point gives the quadratic (h - s e) x (f + s g) = 0. Its slope at a root is minus the Jacobian
    determinant, so the root of negative slope is the one where the cell is not turned over.
    """
    (e0, f0, g0, h0), (e1, f1, g1, h1) = (
        (p10 - p00, p01 - p00, p00 - p10 - p01 + p11, point - p00)
        for (p00, p10, p01, p11), point in zip(corners, (row, column), strict=True)
    )
    a = e1 * g0 - e0 * g1  # -e x g
    b = (h0 * g1 - h1 * g0) - (e0 * f1 - e1 * f0)  # h x g - e x f
    c = h0 * f1 - h1 * f0  # h x f
    root = (b * b - 4 * a * c).sqrt()
    # Two forms of one root. Each is used where it does not subtract nearly equal numbers; a = 0 needs the first.
    s = torch.where(b <= 0, 2 * c / (root - b), (b + root) / (-2 * a))
    across0, across1 = f0 + s * g0, f1 + s * g1
    t = ((h0 - s * e0) * across0 + (h1 - s * e1) * across1) / (across0.square() + across1.square())
    return torch.stack((s, t), 1)
