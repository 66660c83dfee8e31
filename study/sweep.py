"""One arm at several values of one setting, and the chart of their validation mIoU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dsrl_lib.config import Config
from dsrl_lib.data.split import SPLITS, load_split
from dsrl_lib.paths import check_file
from dsrl_lib.records import read_json
from dsrl_lib.runs import METRICS, folder, is_complete
from study.figures.style import FORMATS, chart, save, styled
from study.presets import preset
from study.train import check_plan, train_with_parents


def sweep(
    setting: str,
    values: Sequence[str],
    out: Path,
    profile: str,
    arm: str,
    host: str | None = None,
    seeds: Sequence[int] = (0,),
    overrides: Sequence[str] = (),
    **how: Any,
) -> pd.DataFrame:
    """Train the arm at each value of a setting such as loss.w2, write the chart `out`; complete runs are kept.

    Returns one row per run: value, seed, validation mIoU in points, run. The test split is for comparisons, and chooses
    nothing. how: see `fit`. Before the first training: ValueError if a value, the name of the file or this machine
    cannot be used, DataError if the data of a run are missing.
    """
    if out.suffix not in FORMATS:
        raise ValueError(f"out = {out}; allowed: names that end with {', '.join(FORMATS)}")
    if not values or not seeds:
        raise ValueError(
            "values and seeds: none given; allowed: one or more of each, such as 0 0.05 0.1 0.5 --seeds 0 1"
        )
    check_file(out, "out")
    planned = [
        (value, preset(profile, arm, host, seed, (*overrides, f"{setting}={value}")))
        for value in values
        for seed in seeds
    ]
    if len({config.run_id for _, config in planned}) < len(planned):
        raise ValueError(f"values = {' '.join(values)}, seeds = {' '.join(map(str, seeds))}: one of them stands twice")
    missing = [config for _, config in planned if not is_complete(folder(config))]
    for config in missing:
        check_plan(config, **how)
    for name, split in dict.fromkeys(wanted for config in missing for wanted in _data(config)):
        load_split(name, split)
    table = pd.DataFrame([_trained(value, config, how) for value, config in planned])
    save(_chart(table, setting, arm), out)
    return table


def _data(config: Config) -> list[tuple[str, str]]:
    """Data set and split of all that a run reads."""
    boost = [(config.data.boost_dataset, "train")] if config.data.boost_dataset else []
    return [(config.data.dataset, split) for split in SPLITS] + boost


def _trained(value: str, config: Config, how: dict[str, Any]) -> dict[str, Any]:
    directory = train_with_parents(config, **how)
    score = read_json(directory / "metrics.json", METRICS)["val"]["miou"]
    points = float("nan") if score is None else round(100 * score, 2)
    return {"value": value, "seed": config.seed, "val mIoU": points, "run": directory.name}


@styled
def _chart(table: pd.DataFrame, setting: str, arm: str) -> Any:
    """Each run a point, the mean of each value a diamond. The values stand side by side, as they were given."""
    figure = chart(5.4, 3.2)
    axes = figure.subplots()
    names = list(dict.fromkeys(table["value"]))
    axes.plot(table["value"].map(names.index), table["val mIoU"], "o", color="#D55E00", markersize=4, label="one seed")
    means = table.groupby("value", sort=False)["val mIoU"].mean().reindex(names)
    axes.plot(range(len(names)), means, "D-", color="#0072B2", markersize=6, zorder=1, label="mean")
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel=setting, ylabel="validation mIoU (points)", title=arm)
    axes.legend()
    return figure
