"""Weights of single epochs, kept on request beside those of the last one: of the best validation, of the last k."""

from collections.abc import Callable
from pathlib import Path

from dsrl_lib import network
from dsrl_lib.training.early_stopping import is_best
from dsrl_lib.training.state import RunState

BEST, EPOCH = "best_epoch", "epoch"
"""Names of the files begin so; the number of the epoch follows."""


def snapshots(directory: Path, best: bool, last: int) -> Callable[[RunState], None]:
    """What to call at the end of each epoch, in one process.

    best: keep best_epoch<n>.safetensors, of the highest validation mIoU so far. last: keep epoch<n>.safetensors of so
    many epochs. An older file goes when the new one is on the disk, and so does one of a later epoch, which an earlier
    start has left. Such a file opens like any other weights.
    """

    def write(state: RunState, name: str, keep: int) -> None:
        epoch = state.history[-1]["epoch"]
        path = directory / f"{name}{epoch:04}.safetensors"
        network.save(state.network, state.config, path)
        files = kept(directory, name)
        end = files.index(path) + 1
        for other in (*files[: max(0, end - keep)], *files[end:]):
            other.unlink()

    def at_the_end_of_an_epoch(state: RunState) -> None:
        if last:
            write(state, EPOCH, last)
        if best and is_best(state.history):
            write(state, BEST, 1)

    return at_the_end_of_an_epoch


def kept(directory: Path, name: str) -> list[Path]:
    """The files of a run directory whose names begin so, by epoch."""
    return sorted(directory.glob(f"{name}[0-9]*.safetensors"))
