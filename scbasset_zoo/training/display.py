"""Shows the progress of training, as a bar on a terminal or a line for each epoch elsewhere, and plots the history."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from scbasset_zoo.progress import say


class Display:
    """Progress of training; on a terminal, a bar with loss, AUROC, peaks/s and the time left in the epoch.

    Parameters
    ----------
    n_steps : int
        Number of steps in an epoch.
    epochs : int
        The largest number of epochs.
    quiet : bool
        Show nothing.
    """

    def __init__(self, n_steps: int, epochs: int, *, quiet: bool = False):
        self.n_steps, self.epochs, self.quiet = n_steps, epochs, quiet
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"), TimeRemainingColumn(),
                TextColumn("left in the epoch"), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("epoch 1", total=n_steps, numbers="")

    def __enter__(self) -> Display:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, fit: Any, step: int, peaks_per_second: float) -> None:
        """Show that a step is finished."""
        if self._bar:
            loss = fit.state["loss_sum"] / (step + 1)
            best = fit.state["best_auroc"]
            numbers = f"loss {loss:.4f}  " + (f"best AUROC {best:.4f}  " if best > 0 else "") + f"{peaks_per_second:,.0f} peaks/s"
            epoch = f"epoch {fit.state['epoch'] + 1} of at most {self.epochs}"
            self._bar.update(self._task, completed=step + 1, description=epoch, numbers=numbers)

    def epoch(self, row: dict[str, Any]) -> None:
        """Show that an epoch is finished."""
        if self.quiet:
            return
        line = (
            f"epoch {row['epoch']:>4}  loss {row['loss']:.4f}  AUROC {row['auroc']:.4f}  validation loss "
            f"{row['validation_loss']:.4f}  AUROC {row['validation_auroc']:.4f}  {row['peaks_per_second']:,.0f} peaks/s"
        )
        if self._bar:
            self._bar.console.print(line, highlight=False)
        else:
            say(line)
