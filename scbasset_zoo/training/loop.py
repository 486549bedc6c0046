"""The training loop: epochs, checkpoints, and the reasons to stop."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from scbasset_zoo.errors import ScbassetZooError, TrainingError
from scbasset_zoo.files import rewritten
from scbasset_zoo.progress import say
from scbasset_zoo.training.checkpoint import Arrays, not_finite, read_arrays, write_arrays
from scbasset_zoo.training.display import Display
from scbasset_zoo.training.held_out import evaluate
from scbasset_zoo.training.history_plot import plot_history
from scbasset_zoo.training.interrupts import interruptible
from scbasset_zoo.training.run_folder import Run, open_run, read_history, write_history, write_record
from scbasset_zoo.training.tensorboard import tensorboard_writer
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.training.verdict import judge
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
        self.is_chief = fit.replicas.is_chief
        rows: list[dict[Any, Any]] = read_history(out).to_dict("records") if self.is_chief else []
        self.history = [row for row in rows if row["epoch"] <= fit.state["epoch"]]
        self.saved_epoch, self.failure = fit.state["epoch"], ""
        self.baselines = {
            "loss": {"validation peaks by the cells' depth alone": fit.loss_of_depth()},
            "auroc": {"chance": 0.5},
        }
        self.write_logs = tensorboard_writer(out / "tensorboard") if options.tensorboard and self.is_chief else None

    def run(self) -> Run:
        """Train until there is a reason to stop, and return the run.

        Raises
        ------
        TrainingError
            The loss, the validation loss or a weight is no longer finite, or TensorFlow fails. The checkpoint stays as it was.
        InputError
            The prepared peak set was changed meanwhile, or the disk is full.
        """
        from tensorflow.errors import OpError

        interruption = ""
        try:
            quiet = self.quiet or not self.is_chief
            with interruptible() as interrupted, Display(self.fit.n_steps, self.options, quiet=quiet) as display:
                while not interruption and not self._reason_to_stop():
                    interruption = self._epoch(interrupted, display)
            if interruption:
                self._write_checkpoint(*self.fit.snapshot())
            if not self.is_chief:
                self.fit.replicas.wait()
                return open_run(self.out)
        except (ScbassetZooError, OpError) as error:
            self._write_end("failed", self.failure or str(error).split("\n")[0])
            if isinstance(error, OpError):
                raise _explained(error, self.fit.replicas.n_workers) from error
            raise
        if not interruption and (self.out / "best.npz").exists():
            weights, _ = read_arrays(self.out / "best.npz")
            held_out = self.fit.held_out(weights)
            rows = evaluate(held_out)
            self.record["verdict"] = judge(held_out, rows)
            per_cell = next((row for row in rows if row["metric"] == "AUROC per cell, mean"), None)
            if per_cell is not None:
                self.baselines["auroc"]["validation peaks by GC content alone"] = per_cell["baselines"]["GC content"]
        self._write_end("interrupted" if interruption else "finished", interruption or self._reason_to_stop())
        if self.history:
            self._plot()
        self.fit.replicas.wait()
        return open_run(self.out)

    def _epoch(self, interrupted: Event, display: Display) -> str:
        """Run an epoch, or the rest of it; return how it was interrupted, or ""."""
        fit, state, is_interrupted = self.fit, self.fit.state, False
        began, first_step = time.perf_counter(), state["step"]
        for step, loss in fit.epoch():
            if not np.isfinite(loss):
                raise self._diverged(f"the loss became {loss}", f", step {step + 1} of {fit.n_steps}")
            display.step(fit, step, (step + 1 - first_step) * fit.batch_size / (time.perf_counter() - began))
            # All workers stop at the same step.
            if is_interrupted := fit.replicas.any(interrupted.is_set()):
                break
        if is_interrupted and state["step"] < fit.n_steps:
            return f"interrupted in epoch {state['epoch'] + 1} after step {state['step']} of {fit.n_steps}"
        peaks_per_second = (fit.n_steps - first_step) * fit.batch_size / (time.perf_counter() - began)
        row = fit.end_epoch()
        row.update(peaks_per_second=peaks_per_second, seconds=time.perf_counter() - began)
        if not np.isfinite(row["validation_loss"]):
            raise self._diverged(f"the validation loss became {row['validation_loss']}")
        self._save_epoch(row)
        display.epoch(row, state)
        if fit.replicas.any(interrupted.is_set()) and not self._reason_to_stop():
            return f"interrupted after epoch {row['epoch']}"
        return ""

    def _save_epoch(self, row: dict[str, Any]) -> None:
        self.fit.prepared.require_unchanged()
        arrays, state = self.fit.snapshot()
        self._require_finite(arrays)
        self.history = [*(earlier for earlier in self.history if earlier["epoch"] < row["epoch"]), row]
        if state["best_epoch"] == row["epoch"]:
            weights = {name: array for name, array in arrays.items() if name.startswith("weight/")}
            self._write_arrays("best.npz", weights, {"epoch": row["epoch"], "auroc": row["auroc"]})
        if self.is_chief:
            write_history(self.out, self.history)
        self._write_checkpoint(arrays, state)
        self.saved_epoch = row["epoch"]
        if self.write_logs:
            self.write_logs(row)

    def _reason_to_stop(self) -> str:
        state, options = self.fit.state, self.options
        if state["epoch"] - state["best_epoch"] >= options.patience:
            return f"the training AUROC did not rise by {options.min_delta:g} in {options.patience} epochs"
        if state["epoch"] >= options.epochs:
            return f"{options.epochs} epochs were done"
        return ""

    def _write_checkpoint(self, arrays: Arrays, state: dict[str, Any]) -> None:
        self._require_finite(arrays)
        self._write_arrays("checkpoint.npz", arrays, state)

    def _write_arrays(self, name: str, arrays: Arrays, state: dict[str, Any]) -> None:
        if self.is_chief:
            write_arrays(self.out / name, arrays, state | {"run": self.record.get("id")})

    def _require_finite(self, arrays: Arrays) -> None:
        if names := not_finite(arrays):
            raise self._diverged(f"values of {names} became not finite")

    def _diverged(self, what: str, where: str = "") -> TrainingError:
        """Return the error of training that diverged; what was saved before stays usable."""
        self.failure = f"{what} in epoch {self.saved_epoch + 1}{where}"
        again = f"a lower {option('learning_rate')} (now {self.options.learning_rate:g}) or {option('precision', 'float32')}"
        if (self.out / "checkpoint.npz").exists():
            remedy = f"The last checkpoint is kept: continue from it with {option('resume', True)} and {again}"
            remedy += f", or export epoch {self.fit.state['best_epoch']}." if self.saved_epoch else "."
        else:
            remedy = f"There is no checkpoint yet: start again with {option('overwrite', True)} and {again}."
        return TrainingError(f"{self.failure[0].upper()}{self.failure[1:]}. {remedy}")

    def _plot(self) -> None:
        try:
            with rewritten(self.out / "training.png") as partial:
                plot_history(read_history(self.out), self.fit.state["best_epoch"], self.baselines, partial)
        except Exception as error:  # noqa: BLE001  the run is whole without its plot
            say(f"training.png could not be drawn: {' '.join(str(error).split())[:300]}")

    def _write_end(self, status: str, reason: str) -> None:
        if not self.is_chief:
            return
        self.record.update(
            status=status,
            stopped_because=reason,
            seconds=float(sum(row["seconds"] for row in self.history)),
            best_epoch=self.fit.state["best_epoch"],
        )
        write_record(self.out, self.record)


def _explained(error: Any, n_workers: int) -> TrainingError:
    """Turn an error of TensorFlow into one for people."""
    from tensorflow.errors import AbortedError, CancelledError, DeadlineExceededError, ResourceExhaustedError, UnavailableError

    if n_workers > 1 and isinstance(error, AbortedError | CancelledError | DeadlineExceededError | UnavailableError):
        return TrainingError(
            f"Another of the {n_workers} workers ended or cannot be reached, so this one stops. The last checkpoint is kept: start "
            f"all workers again with {option('resume', True)}; there may be more or fewer of them. "
            f"({' '.join(error.message.split())[:200]})"
        )
    if isinstance(error, ResourceExhaustedError):
        return TrainingError(
            f"The memory is not enough for a training step. Start a run with a smaller {option('batch_size')}, or compute each "
            f"batch in more parts with a larger {option('accumulate')}."
        )
    return TrainingError(f"TensorFlow failed: {' '.join(error.message.split())[:500]}")
