"""latency.json of a profile: the latencies of its networks, turn by turn, so that their spread is known."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from dsrl_lib.allowed import between, check_fields
from dsrl_lib.paths import results_dir
from dsrl_lib.records import read_json, write_json

NUMBER = Annotated[int, between(1, 1000)]
"""How many turns there may be."""
Turns = Mapping[str, Sequence[float]]
"""Name such as latency_ms_pruned -> milliseconds, one value per turn. All networks of a file have the same turns."""


def write_turns(profile: str, device: str, networks: Sequence[tuple[Sequence[str], Turns]]) -> Path:
    """Write the file. networks: the ids of the runs that share a network, and its turns."""
    path = results_dir() / profile / "latency.json"
    found = [{"runs": list(ids), **{name: list(values) for name, values in turns.items()}} for ids, turns in networks]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"device": device, "date": datetime.date.today().isoformat(), "networks": found})
    return path


def measured_on(profile: str) -> str:
    """Device and date of the turns, in words. FileNotFoundError without them."""
    content = _read(results_dir() / profile / "latency.json")
    return f"{content['device']}, {content['date']}"


def read_turns(profile: str) -> dict[str, Turns]:
    """The turns by run id; {} without a file. ValueError that names the file if it is damaged."""
    path = results_dir() / profile / "latency.json"
    if not path.exists():
        return {}
    content = _read(path)
    try:
        for entry in content["networks"]:
            check_fields("network", entry, {"runs": list[str], "*": list[float]})
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    networks = [(entry["runs"], {k: v for k, v in entry.items() if k != "runs"}) for entry in content["networks"]]
    lengths = {len(values) for _, turns in networks for values in turns.values()}
    if 0 in lengths:
        raise ValueError(f"{path} is damaged: a network has no turns")
    if len(lengths) > 1:
        raise ValueError(f"{path} is damaged: networks have {sorted(lengths)} turns; all take turns together")
    return {name: turns for ids, turns in networks for name in ids}


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, {"device": str, "date": str, "networks": list})
