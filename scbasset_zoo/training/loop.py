"""The training loop: epochs, checkpoints, and the reasons to stop."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from scbasset_zoo.errors import TrainingError
from scbasset_zoo.files import new_file
from scbasset_zoo.training.checkpoint import write_arrays
from scbasset_zoo.training.display import Display
from scbasset_zoo.training.history_plot import plot_history
from scbasset_zoo.training.interrupts import interruptible
from scbasset_zoo.training.run_folder import Run, open_run, read_history, write_history, write_record
from scbasset_zoo.training.tensorboard import tensorboard_writer
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from scbasset_zoo.training.fit import Fit


class TrainingLoop:
    """Trains a network epoch by epoch, and keeps the folder of its run up to date.

    Parameters
    ----------
    out : Path
        Folder of the run.
    fit : Fit
    options : TrainingOptions
    record : dict
        The content of run.json.
    quiet : bool
        Show no progress.
    """

    def __init__(self, out: Path, fit: Fit, options: TrainingOptions, record: dict[str, Any], *, quiet: bool):
        self.out, self.fit, self.options, self.record, self.quiet = out, fit, options, record, quiet
        self.history: list[dict[Any, Any]] = read_history(out).to_dict("records")[: fit.state["epoch"]]
        self.write_logs = tensorboard_writer(out / "tensorboard") if options.tensorboard else None

    def run(self) -> Run:
        """Train until there is a reason to stop, and return the run.

        Raises
        ------
        TrainingError
            The loss is no longer finite.
        """
        interruption = ""
        with interruptible() as interrupted, Display(self.fit.n_steps, self.options.epochs, quiet=self.quiet) as display:
            while not interruption and not self._reason_to_stop():
                interruption = self._epoch(interrupted, display)
        if interruption:
            write_arrays(self.out / "checkpoint.npz", *self.fit.snapshot())
        self.record.update(
            status="interrupted" if interruption else "finished",
            stopped_because=interruption or self._reason_to_stop(),
            seconds=float(sum(row["seconds"] for row in self.history)),
            best_epoch=self.fit.state["best_epoch"],
        )
        write_record(self.out, self.record)
        if self.history:
            with new_file(self.out / "training.png") as partial:
                plot_history(read_history(self.out), self.fit.state["best_epoch"], partial)
        return open_run(self.out)

    def _epoch(self, interrupted: Event, display: Display) -> str:
        """Run an epoch, or the rest of it; return how it was interrupted, or ""."""
        fit, state = self.fit, self.fit.state
        began, first_step = time.perf_counter(), state["step"]
        for step, loss in fit.epoch():
            if not np.isfinite(loss):
                raise self._loss_is_not_finite(step, loss)
            display.step(fit, step, (step + 1 - first_step) * fit.batch_size / (time.perf_counter() - began))
            if interrupted.is_set():
                break
        if interrupted.is_set() and state["step"] < fit.n_steps:
            return f"interrupted in epoch {state['epoch'] + 1} after step {state['step']} of {fit.n_steps}"
        peaks_per_second = (fit.n_steps - first_step) * fit.batch_size / (time.perf_counter() - began)
        row = fit.end_epoch()
        row.update(peaks_per_second=peaks_per_second, seconds=time.perf_counter() - began)
        self._save_epoch(row)
        display.epoch(row)
        if interrupted.is_set() and not self._reason_to_stop():
            return f"interrupted after epoch {row['epoch']}"
        return ""

    def _save_epoch(self, row: dict[str, Any]) -> None:
        self.history = [*self.history[: row["epoch"] - 1], row]
        if self.fit.state["best_epoch"] == row["epoch"]:
            write_arrays(self.out / "best.npz", self.fit.weights(), {"epoch": row["epoch"], "auroc": row["auroc"]})
        write_history(self.out, self.history)
        write_arrays(self.out / "checkpoint.npz", *self.fit.snapshot())
        if self.write_logs:
            self.write_logs(row)

    def _reason_to_stop(self) -> str:
        state, options = self.fit.state, self.options
        if state["epoch"] - state["best_epoch"] >= options.patience:
            return f"the training AUROC did not rise by {options.min_delta:g} in {options.patience} epochs"
        if state["epoch"] >= options.epochs:
            return f"{options.epochs} epochs were done"
        return ""

    def _loss_is_not_finite(self, step: int, loss: float) -> TrainingError:
        self.record.update(status="failed", stopped_because=f"the loss became {loss}")
        write_record(self.out, self.record)
        checkpoint = "The last checkpoint is kept." if self.history else "There is no checkpoint yet."
        return TrainingError(
            f"The loss became {loss} in epoch {self.fit.state['epoch'] + 1}, step {step + 1} of {self.fit.n_steps}. {checkpoint} "
            f"Try a lower {option('learning_rate')} (now {self.options.learning_rate:g}) or {option('precision', 'float32')}."
        )
