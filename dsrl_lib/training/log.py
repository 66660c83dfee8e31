"""What a run shows while it trains: a progress bar, or lines in a log file; curves and pictures for TensorBoard."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dsrl_lib.config import Config
from dsrl_lib.progress import bar, shows_bars


class Log:
    """A bar that counts images; scalars and pictures per epoch in <directory>/tensorboard, unless that is None.

    Where no bar can be shown, there is a line per epoch.
    """

    def __init__(self, config: Config, directory: Path | None, steps: range, epoch: int, progress: bool) -> None:
        """steps: those still to do. epoch: the next one to end; what an earlier process logged of it is dropped."""
        self.images, self.name = config.optim.batch_size, f"{config.arm} s{config.seed}"
        self.says_epochs, self.epochs = progress and not shows_bars(), config.optim.epochs
        self.bar = bar(
            total=steps.stop * self.images, initial=steps.start * self.images, unit=" images", disable=not progress,
            desc=self.name, mininterval=1.0,
        )  # fmt: skip
        self.board = None
        if directory is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(directory / "tensorboard", purge_step=epoch)

    def step(self) -> None:
        """Count one batch."""
        self.bar.update(self.images)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Show one row of history.csv."""
        shown = {key: f"{row[key]:.3f}" for key in ("loss", "val_miou") if key in row}
        self.bar.set_postfix(shown)
        if self.says_epochs:
            values = ", ".join(f"{name} {value}" for name, value in shown.items())
            speed = f"{row['images_per_s']:.2f} images/s"
            print(f"{self.name}: epoch {row['epoch']} of {self.epochs}, {values}, {speed}", file=sys.stderr, flush=True)
        if self.board:
            for name in row.keys() - {"epoch", "step"}:
                self.board.add_scalar(name, row[name], row["epoch"])

    def pictures(self, made: Mapping[str, np.ndarray], epoch: int) -> None:
        """Show pictures, uint8 (H, W, 3), by their names."""
        if self.board:
            for name, pixels in made.items():
                self.board.add_image(f"val/{name}", pixels, epoch, dataformats="HWC")

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()
        if self.board:
            self.board.close()
