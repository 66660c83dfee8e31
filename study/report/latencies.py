"""Latencies for 42_cost: which can be compared, and their spread over the turns of latency.json."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from study.arms import FA_ARMS, FA_SHARE_ARMS
from study.evidence import Study
from study.figures.arm_plots import NOISE
from study.figures.notes import Note, words
from study.turns import measured_on

FORMS = ("host", "pruned", "full")
"""What `dsrl_lib.evaluation.cost` measures of a network: the host alone, what is deployed, and what is trained."""
SMALL, LARGE = "bilinear", "mac_matched"
"""Arms of the host alone, at LR and at a larger input."""


def comparable_latencies(study: Study, arms: Sequence[str]) -> dict[str, dict[str, float]]:
    """Milliseconds per frame by arm and form (FORMS), of arms that were timed alike: the others are left out.

    Medians of turns, of the arms that were measured in turns if any was; else medians of the runs on the device that
    made most of them.
    """
    if taken := {arm: found[arm] for arm in arms if (found := study.turns([arm]))}:
        return {
            arm: {form: float(np.median(turns[f"latency_ms_{form}"])) for form in FORMS} for arm, turns in taken.items()
        }
    runs = {arm: study.select(arm) for arm in arms}
    devices = Counter(run.env.get("device") for found in runs.values() for run in found)
    if not devices:
        return {}
    device = devices.most_common(1)[0][0]
    timed = {
        arm: [run.metrics["cost"] for run in found if run.env.get("device") == device] for arm, found in runs.items()
    }
    return {
        arm: {form: float(np.median([cost[f"latency_ms_{form}"] for cost in costs])) for form in FORMS}
        for arm, costs in timed.items() if costs
    }  # fmt: skip


def at_equal_time(study: Study, arm: str) -> Note:
    """An arm against the host alone at an input at which it takes as long: on the line between SMALL and LARGE.

    An arm that takes longer than LARGE is compared with that. The interval takes latencies as known. If SMALL and
    LARGE take equally long, up to NOISE, both differences are given.
    """
    timed = comparable_latencies(study, [arm, SMALL, LARGE])
    if missing := [name for name in (arm, SMALL, LARGE) if name not in timed]:
        return Note(f"At equal time: not run ({', '.join(missing)}).")
    time, start, end = (timed[name]["pruned"] for name in (arm, SMALL, LARGE))
    if end < NOISE * start:
        small, large = (study.contrast([{arm: 1, other: -1}]) for other in (SMALL, LARGE))
        return Note(
            f"**At equal time.** `{SMALL}`, `{arm}` and `{LARGE}` take {start:.1f}, {time:.1f} and {end:.1f} ms per "
            f"frame, equally long up to the noise of these measurements. `{arm}` minus `{SMALL}`: {words(small)}; "
            f"minus `{LARGE}`: {words(large)}."
        )
    share = float(np.clip((time - start) / (end - start), 0, 1))
    value = study.contrast([{arm: 1, SMALL: share - 1, LARGE: -share}])
    return Note(
        f"**At equal time**, {time:.1f} ms per frame, `{arm}` minus the host alone, {100 * share:.0f} % of the way "
        f"from `{SMALL}` ({start:.1f} ms) to `{LARGE}` ({end:.1f} ms): {words(value)}."
    )


def latency_table(study: Study) -> Note:
    """One row per network, with its arms: median of the turns with the smallest and largest, of host, pruned and full
    network, and the ratio of the pruned network to `lr` in the same turn.

    A note instead if the networks were not measured in turns.
    """
    arms = [arm for arm in study.arms if arm not in FA_ARMS + FA_SHARE_ARMS and study.turns([arm])]
    if not arms:
        command = f"python -m study latency --profile {study.profile}"
        return Note(f"Not measured in turns yet: `{command}` does it, on an idle machine.")
    turns, rows = study.turns(arms), []
    networks: dict[str, list[str]] = {}
    for arm in arms:
        first = next((first for first in networks if turns[first] == turns[arm]), arm)
        networks.setdefault(first, []).append(arm)
    for arm, alike in networks.items():
        row = {"arms": ", ".join(alike)} | {
            f"{form} (ms)": _spread(turns[arm][f"latency_ms_{form}"], 1) for form in FORMS
        }
        if "lr" in turns:
            ratio = np.array(turns[arm]["latency_ms_pruned"]) / np.array(turns["lr"]["latency_ms_pruned"])
            row["pruned / lr"] = _spread(ratio, 2)
        rows.append(row)
    number = len(turns[arms[0]]["latency_ms_host"])
    table = Note.table(pd.DataFrame(rows))
    return Note(
        f"Median of {number} turns, with the smallest and the largest, on {measured_on(study.profile)}. Networks took "
        f"turns.\n\n{table}"
    )


def _spread(values: np.ndarray | Sequence[float], decimals: int) -> str:
    median, low, high = np.median(values), np.min(values), np.max(values)
    return f"{median:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"
