"""The pictures of a training notebook: what a run made of a few frames, or how to get its weights."""

from collections.abc import Mapping, Sequence

import numpy as np

from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import class_table
from study.figures import panels
from study.figures.photo import Photo
from study.figures.showcase import Example

QUALITY = 65
"""Of the JPEG: smooth maps and small labels stay readable."""


def without_weights(config: Config) -> str:
    """What to do about a run that came without its weights; the recorded run stays as it is."""
    return (
        f"No pictures: {config.run_id} has no final.safetensors here, since weights are not in git.\n"
        "Train them into another folder, and open the notebook with the same DSRL_RESULTS:\n"
        f"    DSRL_RESULTS=$PWD/retrained ./run_all.sh {config.profile} --arms {config.arm} --seeds {config.seed} "
        f"--hosts {config.model.host}"
    )


def shown_frames(shown: Sequence[Example], config: Config) -> str:
    """The names of the frames and, if so, that the weights are not those of the recorded run; or how to get weights."""
    if not shown:
        return without_weights(config)
    names = ", ".join(example.name for example in shown)
    if all(example.recorded for example in shown):
        return names
    return (
        f"{names}\nThese weights were trained again on another processor: their predictions differ a little from those "
        "that the run recorded."
    )


def prediction_panel(
    shown: Sequence[Example],
    config: Config,
    titles: Sequence[str] = (),
    others: Mapping[str, Sequence[Example]] | None = None,
) -> Photo | None:
    """Input, truth, prediction and errors of each frame; None without frames.

    titles: of the frames, their names unless given. others: by arm, what other networks made of the same frames.
    """
    rows = [
        panels.Prediction(title, example.image, example.truth, example.prediction, {
            arm: examples[place].prediction for arm, examples in (others or {}).items()
        })
        for place, (example, title) in enumerate(zip(shown, titles or [each.name for each in shown], strict=True))
    ]  # fmt: skip
    return Photo(panels.predictions(rows, class_table(config.data.dataset)), QUALITY) if rows else None


def reconstruction_panel(shown: Sequence[Example]) -> Photo | None:
    """Target, bicubic upsampling, reconstruction and its difference of the first frame; None without a SISR head."""
    rows = [
        (example.name, example.target, example.bicubic, example.reconstruction)
        for example in shown if example.bicubic is not None and example.reconstruction is not None
    ]  # fmt: skip
    return Photo(panels.reconstructions(rows[:1]), QUALITY) if rows else None


def affinity_panel(shown: Sequence[Example], pixel: tuple[float, float]) -> Photo | None:
    """The affinity of every place of the first frame to `pixel`, in each branch; None without FA."""
    example = next((example for example in shown if example.affinity), None)
    return affinity_photo(example.target, example.affinity, pixel) if example else None


def affinity_photo(image: np.ndarray, maps: Mapping[str, np.ndarray], pixel: tuple[float, float]) -> Photo:
    """An image, uint8 (H, W, 3), and by title the affinity of every place to `pixel`, (h, w): see `panels.affinity`."""
    return Photo(panels.affinity(image, maps, pixel), QUALITY)
