"""Joint image-label propagation (Zhu et al., CVPR 2019, Sec. 3.2): new training pairs from the frames of a video.

A labelled frame and its neighbours give pairs at +-1 ... +-k frames. The same motion warps the image and its labels, so
their edges agree even where the motion is wrong. Label propagation alone pairs the true neighbour with warped labels.

A flow is backward: float32 (H, W, 2), for each pixel of a later frame the rows and columns to where it came from.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from textwrap import shorten
from types import ModuleType
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional as F

from dsrl_lib.data.transforms import check_rgb
from dsrl_lib.metrics import VOID
from dsrl_lib.paths import DataError, weights_dir

Flow = np.ndarray
AnyFrame = TypeVar("AnyFrame")
FlowEstimator = Callable[[np.ndarray, np.ndarray], Flow]
"""(frame, source), uint8 (H, W, 3) each -> flow from the frame to the source."""

TOLERANCE = 1.5
"""Pixels by which forward and backward motion may disagree."""
RAFT = "raft/raft_large_C_T_SKHT_V2-ff5fadd5.pth"
"""Weights of torchvision's RAFT (Teed & Deng, ECCV 2020), below `paths.weights_dir()`."""


def dis_flow(frame: np.ndarray, source: np.ndarray) -> Flow:
    """OpenCV's DIS (Kroeger et al., ECCV 2016) on the CPU. RuntimeError that says what to install, without OpenCV;
    ValueError for other images."""
    # DEVIATION: joint propagation takes optical flow (DIS, or RAFT), composes it and warps once. The original (Zhu et
    # al.) predicts motion with a network of its own and warps its last output again at each step.
    _check_pair(frame, source)
    cv2 = _opencv()
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (frame, source)]
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return estimator.calc(*grey, None)[..., ::-1]  # (H, W, 2), rows first


@torch.inference_mode()
def raft_flow(frame: np.ndarray, source: np.ndarray) -> Flow:
    """torchvision's RAFT, at sides that are multiples of 8, from 128 on. FileNotFoundError without its weights,
    DataError if the file holds others, ValueError for other images."""
    _check_pair(frame, source)
    height, width = frame.shape[:2]
    sides = tuple(max(128, -(-side // 8) * 8) for side in (height, width))  # it refuses smaller ones
    pair = [torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 127.5 - 1 for picture in (frame, source)]
    pair = [F.interpolate(picture, sides, mode="bilinear", align_corners=False) for picture in pair]  # (1, 3, h, w)
    flow = _raft()(*pair)[-1]  # (1, 2, h, w), columns first
    flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)[0].flip(0).permute(1, 2, 0)
    return (flow * torch.tensor([height / sides[0], width / sides[1]])).numpy()  # (H, W, 2)


def _check_pair(frame: np.ndarray, source: np.ndarray) -> None:
    check_rgb("frame", frame)
    check_rgb("source", source)
    if frame.shape != source.shape:
        raise ValueError(f"frame is {frame.shape} and source {source.shape}; allowed: two of one size")


def _opencv() -> ModuleType:
    try:
        import cv2  # lazy: only propagation needs it
    except ImportError as error:
        raise RuntimeError(f"flow = dis needs OpenCV: pip install opencv-python-headless ({error})") from error
    return cv2


@cache
def _raft() -> torch.nn.Module:
    from torchvision.models.optical_flow import raft_large  # lazy: slow to import

    path = weights_dir() / RAFT
    if not path.exists():
        raise FileNotFoundError(f"flow = raft needs the weights {path}, from https://download.pytorch.org/models/")
    network = raft_large()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file ends in errors of many kinds
        raise DataError(f"{path} holds no weights of RAFT: {shorten(str(error), 200)}") from error
    return network.eval()


FLOWS: dict[str, tuple[FlowEstimator, Callable[[], object]]] = {
    "dis": (dis_flow, _opencv), "raft": (raft_flow, _raft)
}  # fmt: skip
"""By name: how flow is estimated, and what fails at once if that cannot work here."""


def flow_estimator(name: str) -> FlowEstimator:
    """One of FLOWS. ValueError for another name; RuntimeError or FileNotFoundError if what it needs is not here."""
    if name not in FLOWS:
        raise ValueError(f"flow = {name!r}; allowed: {', '.join(FLOWS)}")
    estimator, needs = FLOWS[name]
    needs()
    return estimator


def composed(first: Flow, then: Flow) -> Flow:
    """The flow of two steps: `then` leads to where `first` starts. Beyond the frame `first` is as at its border."""
    return then + sampled(first, then)


def sampled(values: np.ndarray, flow: Flow) -> np.ndarray:
    """Values (H, W, C) at where a flow leads, bilinearly, float32 (H, W, C); beyond the frame those of its border."""
    height, width = flow.shape[:2]
    planes = torch.from_numpy(np.ascontiguousarray(values, np.float32)).permute(2, 0, 1)[None]  # (1, C, H, W)
    half = torch.tensor([max(height - 1, 1), max(width - 1, 1)]) / 2
    at = (torch.from_numpy(_places(flow)) / half - 1).flip(-1)[None]  # (1, H, W, 2)
    found = F.grid_sample(planes, at.float(), padding_mode="border", align_corners=True)[0]
    return found.permute(1, 2, 0).numpy()  # (H, W, C)


def nearest_labels(labels: np.ndarray, flow: Flow) -> np.ndarray:
    """Labels (H, W) of the nearest pixels to where a flow leads, uint8 (H, W); void beyond the frame."""
    row, column = np.moveaxis(np.rint(_places(flow)).astype(int), -1, 0)  # (H, W) each
    inside = (row >= 0) & (row < labels.shape[0]) & (column >= 0) & (column < labels.shape[1])
    found = labels[row.clip(0, labels.shape[0] - 1), column.clip(0, labels.shape[1] - 1)]
    return np.where(inside, found, VOID).astype(np.uint8)


def consistent(backward: Flow, forward: Flow, tolerance: float = TOLERANCE) -> np.ndarray:
    """Where going back and forth ends within `tolerance` pixels of the start, bool (H, W): elsewhere nothing is known.

    forward: the flow of the opposite direction, whose pixels are those of the source.
    """
    return np.linalg.norm(backward + sampled(forward, backward), axis=-1) <= tolerance


def motions(frames: Sequence[AnyFrame], flow: Callable[[AnyFrame, AnyFrame], Flow]) -> Iterator[tuple[Flow, Flow]]:
    """For each frame after the first: the backward flow to the first, and the flow from the first to it.

    frames: neighbours in time, in either direction, as `flow` takes them: uint8 (H, W, 3) for a `FlowEstimator`. Flows
    of neighbours are composed.
    """
    backward = forward = None
    for before, frame in pairwise(frames):
        to_before, to_frame = flow(frame, before), flow(before, frame)
        backward = to_before if backward is None else composed(backward, to_before)
        forward = to_frame if forward is None else composed(to_frame, forward)
        yield backward, forward


def propagate(
    frames: Sequence[np.ndarray],
    labels: np.ndarray,
    flow: FlowEstimator = dis_flow,
    *,
    joint: bool = True,
    tolerance: float = TOLERANCE,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A pair of image (H, W, 3) and labels (H, W), uint8, for each frame after the first.

    frames: neighbours in time, of which the first has the `labels`, (H, W) with 255 for void. joint: the first image,
    warped as its labels are; else the frame itself. Labels are void where a pixel came from beyond the first frame, and
    where the motion back and forth disagrees by more than `tolerance` pixels: it was uncovered, or the motion is wrong.
    ValueError for frames that are no such pictures, and for frames or labels of another size.
    """
    size = np.shape(labels)
    for frame in frames:
        if frame.dtype != np.uint8 or frame.shape != (*size, 3):
            raise ValueError(
                f"propagate: a frame is {frame.dtype} {frame.shape}, the labels {size}; allowed: frames uint8 "
                "(H, W, 3) and labels (H, W), all of one size"
            )
    return carried(frames, labels, motions(frames, flow), joint=joint, tolerance=tolerance)


def carried(
    frames: Sequence[np.ndarray],
    labels: np.ndarray,
    flows: Iterable[tuple[Flow, Flow]],
    *,
    joint: bool = True,
    tolerance: float = TOLERANCE,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`propagate` by flows that are known: for each frame after the first, the flow to the first, and the one back."""
    for frame, (backward, forward) in zip(frames[1:], flows, strict=True):
        # DEVIATION: in joint propagation a label that the motion does not explain is void. The original (Zhu et al.)
        # keeps it, and repeats the border of the frame for pixels that came from beyond it.
        found = nearest_labels(labels, backward)
        found[~consistent(backward, forward, tolerance)] = VOID
        yield (warped(frames[0], backward) if joint else frame), found


def warped(image: np.ndarray, flow: Flow) -> np.ndarray:
    """The image (H, W, 3) where a flow leads, bilinearly, uint8."""
    return np.rint(sampled(image, flow)).astype(np.uint8)


def _places(flow: Flow) -> np.ndarray:
    """Row and column to which a flow leads from each pixel, float32 (H, W, 2)."""
    grid = np.stack([*np.mgrid[: flow.shape[0], : flow.shape[1]]], -1)
    return (grid + flow).astype(np.float32)
