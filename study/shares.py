"""How strongly each term of an arm's loss acts on the shared encoder, before its first step and at its end."""

from pathlib import Path

import pandas as pd

from dsrl_lib import network, runs
from dsrl_lib.config import Config
from dsrl_lib.data.split import load_split
from dsrl_lib.device import pick_device
from dsrl_lib.losses.terms import TERMS
from dsrl_lib.models.build import load_strictly
from dsrl_lib.paths import check_folder, results_dir
from dsrl_lib.records import read_json, write_atomically
from dsrl_lib.training.begin import start
from dsrl_lib.training.gradient_shares import fixed_batch, gradient_norms, gradient_shares
from dsrl_lib.training.loop import measure_gradients
from dsrl_lib.training.state import RunState
from study.factorial import cells
from study.presets import preset
from study.profiles import PROFILES


def shares_table(config: Config, device: str = "auto") -> pd.DataFrame:
    """One row per term at the start of a run and, if the run is complete and its weights are here, at its end.

    Columns: at, term, weight, gradient (norm on the shared encoder, with the weight), share of the sum. Raises
    FileNotFoundError if the run starts from another one that has not left its weights.
    """
    state = RunState(config, load_split(config.data.dataset, "train"), pick_device(device))
    batch = fixed_batch(state.samples, config, state.device)
    start(state)
    measure_gradients(state, batch)
    rows = _rows(state, batch, "start")
    trained = runs.folder(config) / runs.WEIGHTS
    if runs.is_complete(trained.parent) and trained.exists():
        state.weights = read_json(trained.with_name("env.json"), runs.ENVIRONMENT).get("loss_weights", {})
        load_strictly(state.network, network.read(trained)[0], str(trained))
        rows += _rows(state, batch, "end")
    return pd.DataFrame(rows)


def write_shares(profile: str, seed: int = 0, device: str = "auto") -> Path:
    """Write results/<profile>/gradient_shares.csv: `shares_table` at the start of every cell of the FA factorial.

    One row per arm and term. Raises ValueError for a profile without such cells, and FileNotFoundError if the weights
    that they start from are not here.
    """
    arms = [arm for arm in cells() if arm in PROFILES[profile].arm_seeds]
    if len(arms) < 2:  # the default cell is an arm of every study
        raise ValueError(f"profile {profile} has no cell of the FA factorial; name one of its arms")
    check_folder(results_dir() / profile, "DSRL_RESULTS")  # before all is measured
    found = []
    for arm in arms:
        table = shares_table(preset(profile, arm, seed=seed), device)
        found.append(table[table["at"] == "start"].drop(columns="at").assign(arm=arm))
    path = results_dir() / profile / "gradient_shares.csv"
    table = pd.concat(found)[["arm", "term", "weight", "gradient", "share"]]
    text = table.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    write_atomically(path, lambda temporary: temporary.write_text(text))
    return path


def _rows(state: RunState, batch: dict, at: str) -> list[dict[str, object]]:
    norms = gradient_norms(state.network, batch, state.weighted, state.class_weights)
    return [
        {"at": at, "term": name, "weight": TERMS[name].weight_in(state.weighted.loss), "gradient": norms[name],
         "share": share}
        for name, share in gradient_shares(norms).items()
    ]  # fmt: skip
