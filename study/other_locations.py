"""Where trained networks of adaptive downsampling sample, and what they lose at other locations (notebook 33)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from dsrl_lib import runs
from dsrl_lib.config import Config
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.deploy.pretrained import from_pretrained, released
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.evaluation.forward import network_input
from dsrl_lib.evaluation.given_locations import location_errors, predicted_locations
from dsrl_lib.models.downsampling.downsampler import Downsampler
from dsrl_lib.models.downsampling.from_labels import mean_locations, solved_locations
from dsrl_lib.models.downsampling.locations import unfolded
from dsrl_lib.models.downsampling.targets import boundary_pixels
from dsrl_lib.overrides import override
from dsrl_lib.records import write_atomically
from study.catalogue import Run
from study.figures.location_charts import location_grids
from study.figures.notes import Note, signed
from study.figures.photo import Photo, withheld

OTHER_FRAME, MEAN_GRID = "another frame", "mean grid"
Changes = dict[tuple[str, str], float]  # of test mIoU, in points, by run and locations


@torch.no_grad()
def predicted_grid(profile: str, split: Split, index: int) -> Photo | Note:
    """The grid that the released network of arm `adaptive` predicts for a frame, beside the one solved from its labels.

    A note instead if there are no such weights, or if the frame may not be shown.
    """
    name = f"adaptive-{profile}"
    if name not in released():
        return Note(f"**Not drawn:** no weights named `{name}` are released.")
    model, config = from_pretrained(name)
    if hidden := withheld(config.data.dataset):
        return hidden
    image, labels = split.images[index], split.labels[index]
    frame = network_input(image, config)  # (3, H, W)
    predicted = unfolded(predicted_locations(model, frame))[0]  # (n, m, 2)
    error, of_uniform = location_errors(model, frame, labels, config)
    title = f"predicted by {name}: error {100 * error:.1f} % (uniform: {100 * of_uniform:.1f} %)"
    grids = {"solved from the labels": solved_locations(labels, config.downsampling), title: predicted}
    return location_grids(image, boundary_pixels(labels), {title: grid.numpy() for title, grid in grids.items()})


def other_locations_table(found: Sequence[Run], test: Split, mean_grid: bool = False) -> Note:
    """mIoU of trained networks at the locations of the frame, and the change at those of another frame, in points.

    One row per run and the mean of each arm. mean_grid: also the change at one grid for all, the mean over the training
    frames. Nothing is trained. Runs whose weights are here are evaluated, and results/<profile>/other_locations.csv,
    which is in git as the weights are not, keeps what was measured; of the others it is read there.
    """
    if not found:
        return Note("**Not run.**")
    path = found[0].folder.parents[1] / "other_locations.csv"
    changes = _read(path)
    here = [run for run in found if (run.folder / runs.WEIGHTS).exists()]
    measured = _measured(here, test, mean_grid)
    if measured:
        changes |= measured
        _write(path, changes)
    columns = [OTHER_FRAME, MEAN_GRID][: 1 + mean_grid]
    rows = []
    for run in found:
        known = {name: changes[run.run_id, name] for name in columns if (run.run_id, name) in changes}
        if len(known) == len(columns):
            own = 100 * run.metrics["test"]["miou"]
            rows.append({"arm": run.arm, "seed": run.seed, "own locations": own, **known})
    if not rows:
        return Note("**Not measured:** this takes the weights of these runs, which are not here.")
    parts = []
    for arm, seeds in pd.DataFrame(rows).groupby("arm", sort=False):
        means = seeds[["own locations", *columns]].mean().to_frame().T
        parts += [seeds, means.assign(arm=arm, seed="mean")]
    table = pd.concat(parts)
    table["own locations"] = [f"{value:.2f}" for value in table["own locations"]]
    for name in columns:
        table[name] = [signed(value) for value in table[name]]
    units = {"own locations": "own locations (mIoU, %)"} | {name: f"{name} (points)" for name in columns}
    return Note.table(table.rename(columns=units))


def _measured(found: Sequence[Run], test: Split, mean_grid: bool) -> Changes:
    changes: Changes = {}
    grid = _mean_grid(Config.from_dict(found[0].config)) if found and mean_grid else None
    for run in found:
        model, config = from_pretrained(run.folder)
        own = run.metrics["test"]["miou"]
        swapped = evaluate(model, test, override(config, "downsampling.swapped", True), details=False)
        changes[run.run_id, OTHER_FRAME] = round(100 * (swapped.miou - own), 2)
        if grid is not None:
            of_all = override(config, "downsampling.locations", "mean")
            model.downsampling = Downsampler(of_all.downsampling, config.model.input_scale)
            model.downsampling.load_state_dict({"fixed": grid})
            same = evaluate(model, test, of_all, details=False)
            changes[run.run_id, MEAN_GRID] = round(100 * (same.miou - own), 2)
    return changes


def _mean_grid(config: Config) -> torch.Tensor:
    return mean_locations(load_split(config.data.dataset, "train").labels, config.downsampling)  # (n, m, 2)


def _read(path: Path) -> Changes:
    if not path.exists():
        return {}
    try:
        return pd.read_csv(path).set_index(["run_id", "locations"])["change"].astype(float).to_dict()
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a table of run_id, locations and change ({error})") from error


def _write(path: Path, changes: Changes) -> None:
    table = pd.DataFrame([(*key, changes[key]) for key in sorted(changes)], columns=["run_id", "locations", "change"])
    text = table.to_csv(index=False, float_format="%.2f", lineterminator="\n")
    write_atomically(path, lambda temporary: temporary.write_text(text))
