"""Shows the progress of training, as a bar on a terminal or a line for each epoch elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from scbasset_zoo.progress import say
from scbasset_zoo.training.train_options import TrainingOptions

# The training AUROC stays below this on the plateau at the start.
PLATEAU = 0.6


class Display:
    """Progress of training; on a terminal, a bar with loss, AUROC, peaks/s and the time left in the epoch.

    Parameters
    ----------
    n_steps : int
        Number of steps in an epoch.
    options : TrainingOptions
    quiet : bool
        Show nothing.
    """

    def __init__(self, n_steps: int, options: TrainingOptions, *, quiet: bool = False):
        self.n_steps, self.options, self.quiet = n_steps, options, quiet
        self._is_on_plateau = False
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
        if not self.quiet:
            epochs, patience = self.options.epochs, self.options.patience
            say(
                f"At most {epochs:,} epochs of {self.n_steps:,} steps; training stops before if the best training AUROC does not "
                f"rise in {patience:,} epochs."
            )
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
            epoch = f"epoch {fit.state['epoch'] + 1} of at most {self.options.epochs}"
            self._bar.update(self._task, completed=step + 1, description=epoch, numbers=numbers)

    def epoch(self, row: dict[str, Any], state: dict[str, Any]) -> None:
        """Show that an epoch is finished, and how long training may still take."""
        if self.quiet:
            return
        line = (
            f"epoch {row['epoch']:>4}  loss {row['loss']:.4f}  AUROC {row['auroc']:.4f}  validation loss "
            f"{row['validation_loss']:.4f}  AUROC {row['validation_auroc']:.4f}  {row['peaks_per_second']:,.0f} peaks/s"
        )
        for text in (f"{line}  {time_left(row, state, self.options)}", self._plateau(row)):
            if text and self._bar:
                self._bar.console.print(text, highlight=False)
            elif text:
                say(text)

    def _plateau(self, row: dict[str, Any]) -> str:
        """Return a line when the plateau at the start is first seen, and when it ends."""
        was_on_plateau, self._is_on_plateau = self._is_on_plateau, row["auroc"] < PLATEAU
        if self._is_on_plateau and not was_on_plateau:
            return (
                f"The training AUROC is still near chance ({row['auroc']:.3f}) after {row['epoch'] * self.n_steps:,} steps. At the "
                f"start it often stays between 0.5 and {PLATEAU} for hundreds of steps, so let training go on."
            )
        if was_on_plateau and not self._is_on_plateau:
            return f"The plateau at the start is over: the training AUROC is above {PLATEAU}."
        return ""


def time_left(row: dict[str, Any], state: dict[str, Any], options: TrainingOptions) -> str:
    """Say how long training lasts at most, and when it stops if the training AUROC does not rise again."""
    at_most = options.epochs - row["epoch"]
    if not at_most:
        return ""
    text = f"at most {_duration(at_most * row['seconds'])} left"
    to_rule = options.patience - (row["epoch"] - state["best_epoch"])
    if row["epoch"] > state["best_epoch"] and 0 < to_rule < at_most:
        text += f", {_duration(to_rule * row['seconds'])} if the AUROC does not rise"
    return text


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
