"""How strongly each term of an arm's loss acts on the shared encoder, before its first step and at its end."""

import pandas as pd

from dsrl_lib import network, runs
from dsrl_lib.config import Config
from dsrl_lib.data.split import load_split
from dsrl_lib.device import pick_device
from dsrl_lib.losses.terms import TERMS
from dsrl_lib.models.build import load_strictly
from dsrl_lib.training.fit import start
from dsrl_lib.training.gradient_shares import fixed_batch, gradient_norms, gradient_shares
from dsrl_lib.training.loop import RunState, measure_gradients


def shares_table(config: Config, device: str = "auto") -> pd.DataFrame:
    """One row per term at the start of a run and, if the run is complete and its weights are here, at its end.

    Columns: at, term, weight, gradient (norm on the shared encoder, with the weight), share of the sum. Raises
    FileNotFoundError if the run starts from another one that has not left its weights.
    """
    split = load_split(config.data.dataset, "train")
    state = RunState(config, split, pick_device(device))
    batch = fixed_batch(split, config, state.device)
    start(state)
    measure_gradients(state, batch)
    rows = _rows(state, batch, "start")
    trained = runs.folder(config) / "final.safetensors"
    if runs.is_complete(trained.parent) and trained.exists():
        state.weights = runs.read_json(trained.with_name("env.json"), runs.ENVIRONMENT).get("loss_weights", {})
        load_strictly(state.network, network.read(trained)[0], str(trained))
        rows += _rows(state, batch, "end")
    return pd.DataFrame(rows)


def _rows(state: RunState, batch: dict, at: str) -> list[dict[str, object]]:
    norms = gradient_norms(state.network, batch, state.weighted, state.class_weights)
    return [
        {"at": at, "term": name, "weight": TERMS[name].weight_in(state.weighted.loss), "gradient": norms[name],
         "share": share}
        for name, share in gradient_shares(norms).items()
    ]  # fmt: skip
