"""What the affinity maps of trained networks show, before and after FA: numbers over frames, and one pixel's maps."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from dsrl_lib.data.class_tables import VOID
from dsrl_lib.data.split import load_split
from study.explore import trained_networks
from study.figures import panels
from study.figures.example_panels import QUALITY
from study.figures.explorer import Tokens, explored
from study.figures.notes import Note
from study.figures.photo import Photo, withheld
from study.presets import preset

NO_NETWORK = Note("No network of this profile has its SISR branch here, so there are no affinity maps.")


def affinity_table(profile: str, frames: int = 10) -> Note:
    """One row per network and map of the SSSR branch: how far its S is from that of the SISR branch, and its classes.

    Over `frames` of the validation split, evenly spread. The gap is the mean of |S_SSSR - S_SISR|, which FA makes
    smaller. Within its class: of all that is similar to a place (cosines above zero), the share in the class of that
    place, for each branch; `places of its class` is that share if all places were alike.
    """
    networks = trained_networks(profile)
    if not networks:
        return NO_NETWORK
    config = preset(profile, "dsrl")
    split = load_split(config.data.dataset, "val")
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for index in np.linspace(0, len(split) - 1, min(frames, len(split))).round().astype(int):
        shown = explored(networks, split, int(index))
        for network, tokens in shown.tokens.items():
            labels = token_labels(np.array(split.labels[index]), tokens.sr.shape[1:])
            for name, seg in _seg_maps(tokens).items():
                found.setdefault((network, name), []).append(_numbers(seg, tokens.sr, labels))
    means = {key: pd.DataFrame(each).mean() for key, each in found.items()}
    rows = [
        {"network": network, "SSSR map": name} | {key: f"{value:.2f}" for key, value in mean.items()}
        for (network, name), mean in means.items()
    ]
    return Note(f"{Note.table(pd.DataFrame(rows))}\n\n{_sentence(means)}".rstrip())


def _sentence(means: Mapping[tuple[str, str], pd.Series]) -> str:
    """What the table says of FA; nothing unless there are networks before and after it."""
    if len(means) != 3:
        return ""
    before, raw, after = means.values()
    gap, seg, sr = "gap of the branches", "within its class, SSSR", "within its class, SISR"
    return (
        f"With FA the gap is {after[gap]:.2f} instead of {before[gap]:.2f}, and {raw[gap]:.2f} if the SSSR map is "
        f"taken before the FTM, which inference drops. The share within its class goes from {before[seg]:.2f} to "
        f"{after[seg]:.2f} in the SSSR branch ({raw[seg]:.2f} before the FTM), and from {before[sr]:.2f} to "
        f"{after[sr]:.2f} in the SISR branch."
    )


def affinity_maps(profile: str, at: float, pixel: tuple[float, float]) -> Photo | Note:
    """The affinity of every place to `pixel` (y, x as fractions) in one validation frame, by network and branch."""
    networks = trained_networks(profile)
    hidden = withheld(preset(profile, "dsrl").data.dataset)
    if hidden or not networks:
        return hidden or NO_NETWORK
    split = load_split(preset(profile, "dsrl").data.dataset, "val")
    shown = explored(networks, split, round(at * (len(split) - 1)))
    maps = {}
    for network, tokens in shown.tokens.items():
        when = network.partition(":")[0]
        for branch, features in (("SSSR", tokens.seg if tokens.ftm is None else tokens.ftm), ("SISR", tokens.sr)):
            height, width = features.shape[1:]
            place = min(int(pixel[0] * height), height - 1) * width + min(int(pixel[1] * width), width - 1)
            maps[f"{when}, {branch}"] = cosines(features)[place].reshape(height, width).numpy()
    return Photo(panels.affinity(shown.image, maps, pixel), QUALITY)


def cosines(features: np.ndarray) -> Tensor:
    """S of normalised tokens (paper, Eq. 2): (C, h, w) -> (h w, h w)."""
    tokens = F.normalize(torch.from_numpy(features).flatten(1), dim=0)
    return tokens.T @ tokens


def within_class(affinities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Of the positive affinities of a token, the share in its own class; and the share of tokens of that class.

    Means over the tokens with a label. affinities: (N, N). labels: (N,), VOID for none, which are left out.
    """
    known = labels != VOID
    positive = affinities[known][:, known].clamp(min=0)
    same = (labels[known][:, None] == labels[known][None]).float()
    share = (positive * same).sum(1) / positive.sum(1)
    return float(share.mean()), float(same.mean(1).mean())


def token_labels(labels: np.ndarray, grid: tuple[int, ...]) -> Tensor:
    """The class that most pixels of each token have, or VOID: uint8 (H, W) -> (h w,)."""
    flat = torch.from_numpy(labels.astype(np.int64))
    classes = flat.unique()
    shares = torch.stack([F.adaptive_avg_pool2d((flat == label).float()[None], grid)[0] for label in classes])
    return classes[shares.argmax(0)].flatten()


def _seg_maps(tokens: Tokens) -> Mapping[str, np.ndarray]:
    """The maps of the SSSR branch that FA could compare; the last one is what it does compare."""
    return {"before the FTM": tokens.seg} | ({} if tokens.ftm is None else {"after the FTM": tokens.ftm})


def _numbers(seg: np.ndarray, sr: np.ndarray, labels: Tensor) -> dict[str, float]:
    s_seg, s_sr = cosines(seg), cosines(sr)
    share_seg, alike = within_class(s_seg, labels)
    share_sr, _ = within_class(s_sr, labels)
    return {
        "gap of the branches": float((s_seg - s_sr).abs().mean()),
        "within its class, SSSR": share_seg,
        "within its class, SISR": share_sr,
        "places of its class": alike,
    }
