"""The affinity explorer on trained networks: before FA (`sssr_sisr`) and after it (`dsrl`)."""

from collections.abc import Sequence
from typing import Any

from dsrl_lib.config import Config
from dsrl_lib.data.split import load_split
from dsrl_lib.deploy.pretrained import open_weights, weights_of
from dsrl_lib.models.dsrl import DSRL
from study.figures.explorer import Explorer, explored
from study.presets import preset

STATES = {"sssr_sisr": "before FA: sssr_sisr", "dsrl": "after FA: dsrl"}
"""Arm -> what the explorer calls it: stage 2, and stage 3, which starts from its weights."""


AT = (0.05, 0.65)
"""Validation frames that the explorer shows, as fractions of the split."""


def affinity_explorer(profile: str, seed: int = 0) -> Explorer | None:
    """The validation frames at AT, through the trained networks; None without weights."""
    networks = trained_networks(profile, seed)
    if not networks:
        return None
    split = load_split(_dataset(profile), "val")
    return Explorer([explored(networks, split, round(part * (len(split) - 1))) for part in AT])


def live_explorer(profile: str, seed: int = 0) -> Any:
    """Widgets that take any validation frame through the networks of your choice; None without weights."""
    networks = trained_networks(profile, seed)
    if not networks:
        return None
    import ipywidgets

    split = load_split(_dataset(profile), "val")

    def show(frame: int, arms: Sequence[str]) -> Explorer | None:
        return Explorer([explored({name: networks[name] for name in arms}, split, frame)]) if arms else None

    names = list(networks)
    return ipywidgets.interactive(
        show,
        {"auto_display": True},  # what `show` returns, at the start too
        frame=ipywidgets.IntSlider(0, 0, len(split) - 1, continuous_update=False),
        arms=ipywidgets.SelectMultiple(options=names, value=names, rows=len(names), description="networks"),
    )


def trained_networks(profile: str, seed: int = 0) -> dict[str, tuple[DSRL, Config]]:
    """The networks of STATES that have weights, in eval mode: from their runs, or else from whole released
    weights. Without those of pruned files, which have no SISR branch to compare with.
    """
    found = {}
    for arm, name in STATES.items():
        weights = weights_of(preset(profile, arm, seed=seed))
        if weights is None:
            continue
        model, config = open_weights(weights)
        if model.sisr is not None:
            found[name] = model.eval(), config
    return found


def _dataset(profile: str) -> str:
    return preset(profile, "dsrl").data.dataset
