"""Checkpoints of a run: last.pt, written by rename, and the one before it in case that one cannot be read."""

import io
from pathlib import Path
from typing import Annotated, Any

import torch

from dsrl_lib.allowed import at_least, check_fields
from dsrl_lib.records import write_atomically

NAMES = ("last.pt", "previous.pt")
"""Newest first."""
_COUNT, _NUMBERS = Annotated[int, at_least(0)], {"*": float}
CONTENT = {
    "config": dict, "data": dict | str, "network": dict, "optimizer": dict, "scaler": dict, "step": _COUNT,
    "history": list[dict], "sums": _NUMBERS, "seconds": Annotated[float, at_least(0)], "epochs_before": _COUNT,
    "weights": _NUMBERS, "gradients_at_start": _NUMBERS, "processes?": list[dict],
}  # fmt: skip
"""What `RunState.state_dict` gives (`allowed.check_fields`)."""


def exists(directory: Path) -> bool:
    """Whether there is a checkpoint to continue from."""
    return any((directory / name).exists() for name in NAMES)


def described(directory: Path) -> str:
    """Where the last good checkpoint is, as the end of a message."""
    last = directory / NAMES[0]
    return f"the last good checkpoint is {last}" if last.exists() else "there is no checkpoint yet"


def save(directory: Path, state: dict[str, Any]) -> None:
    """Write last.pt; the one before it becomes previous.pt."""
    last, previous = (directory / name for name in NAMES)
    content = io.BytesIO()  # written by torch itself, a full disk would not be an OSError
    torch.save(state, content)
    write_atomically(last, lambda temporary: temporary.write_bytes(content.getbuffer()), keep=previous)


def load(directory: Path) -> dict[str, Any]:
    """The newest checkpoint that can be read, on the CPU; nothing in it is run. ValueError if none can."""
    problems = []
    for path in (directory / name for name in NAMES):
        if path.exists():
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
                check_fields("", state, CONTENT)
                return state
            except (OSError, MemoryError):  # says nothing about the file
                raise
            except Exception as error:  # a damaged archive fails in many ways
                problems.append(f"{path} is damaged ({error})")
    raise ValueError(f"{'; '.join(problems)}; delete it to start the run again")


def delete(directory: Path) -> None:
    """Remove all checkpoints."""
    for name in NAMES:
        (directory / name).unlink(missing_ok=True)
