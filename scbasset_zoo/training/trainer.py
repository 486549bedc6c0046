"""Fits scBasset to a prepared peak set: epochs, checkpoints, resuming, stopping."""

from __future__ import annotations

import csv
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, TrainingError
from scbasset_zoo.files import check_destination, holding, new_file, new_folder, remove, sha256
from scbasset_zoo.progress import say
from scbasset_zoo.runtime.devices import usable_cores
from scbasset_zoo.training import checkpoint
from scbasset_zoo.training.dataset import PreparedPeaks, open_prepared
from scbasset_zoo.training.options import TrainingOptions
from scbasset_zoo.version import __version__

HISTORY = ("epoch", "loss", "auroc", "validation_loss", "validation_auroc", "peaks_per_second", "seconds")


@dataclass(frozen=True)
class Run:
    """A training run on disk.

    Attributes
    ----------
    folder : Path
    status : {"finished", "interrupted", "failed", "running"}
    stopped_because : str
    history : pandas.DataFrame
        A row for each finished epoch.
    """

    folder: Path
    status: str
    stopped_because: str
    history: pd.DataFrame


def train(
    data: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Fit scBasset to a prepared peak set.

    The loss is binary cross-entropy, mean over peaks and cells; the optimiser Adam(0.01, 0.95, 0.9995); windows are shifted by
    up to 3 bp and reverse-complemented at random (Yuan & Kelley 2022, Methods, "Training"). Training ends when the best
    training AUROC (mean over cells) has not risen by 1e-6 in 50 epochs, or after 1,000 epochs; the weights at the best
    training AUROC are the result.

    Parameters
    ----------
    data : path
        Folder made by :func:`scbasset_zoo.prepare`.
    out : path
        Folder for the run.
    resume : bool
        Continue the run in `out` after an interruption. On a CPU the weights end identical to an uninterrupted run's.
    overwrite : bool
        Replace a run that is in `out`.
    quiet : bool
        Show no progress.
    **options
        See :class:`scbasset_zoo.training.options.TrainingOptions`.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        The data, an option or the destination cannot be used.
    TrainingError
        TensorFlow is not installed, or the loss is no longer finite.
    """
    out = Path(out)
    asked = _checked(options)
    prepared = open_prepared(data)
    if resume:
        facts = checkpoint.read_run(out)
        asked = _resumed_options(out, facts, asked, options, prepared)
        if facts["status"] == "finished" and len(read_history(out)) >= asked.epochs:
            say(f"{out} is finished already: {facts['stopped_because']}.")
            return open_run(out)
    else:
        check_destination(out, overwrite=overwrite, replaceable=holding("run.json"), inputs=[data, options.get("init_from")])
    batches = batch_table(prepared.cells, asked.batch_key, data)
    if asked.shift > prepared.flank:
        raise InputError(
            f"--shift {asked.shift} is more than the {prepared.flank} bp of flank stored in {data}. "
            f"Prepare again with --flank {asked.shift}, or train with --shift {prepared.flank} or less."
        )
    require_tensorflow()
    from scbasset_zoo.training.fit import Fit

    fit = Fit(prepared, asked, batches, resumed=resume)
    if resume:
        for leftover in out.glob(".partial-*"):
            remove(leftover)
        fit.restore(*checkpoint.read_arrays(out / "checkpoint.npz"))
        facts.update(options=asked.model_dump(), status="running")
        checkpoint.write_run(out, facts)
    else:
        facts = _facts(prepared, asked, fit, batches)
        with new_folder(out, overwrite=overwrite) as folder:
            for table in ("cells.parquet", "peaks.parquet"):
                shutil.copyfile(prepared.folder / table, folder / table)
            checkpoint.write_run(folder, facts)
    return _loop(out, fit, asked, facts, quiet)


def open_run(folder: str | os.PathLike[str]) -> Run:
    """The run in `folder`, as it stands.

    Raises
    ------
    InputError
        `folder` does not hold a training run.
    """
    folder = Path(folder)
    facts = checkpoint.read_run(folder)
    return Run(folder, facts["status"], facts.get("stopped_because", ""), read_history(folder))


def read_history(folder: Path) -> pd.DataFrame:
    """History of a run, a row for each finished epoch."""
    path = folder / "history.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(HISTORY))


def batch_table(cells: pd.DataFrame, batch_key: str | None, where: Any) -> tuple[list[str], NDArray[np.intp]] | None:
    """Names of the batches, and the batch of each cell; None without `batch_key`.

    Raises
    ------
    InputError
        The column is missing, a cell has no batch, or all cells have the same.
    """
    if batch_key is None:
        return None
    if batch_key not in cells.columns:
        raise InputError(
            f"--batch-key {batch_key}: {where} has no such column of cells. It has: {', '.join(map(str, cells.columns))}."
        )
    column = cells[batch_key]
    column = column.mask(column.astype(str).str.strip() == "")  # how AnnData files hold missing texts
    if (missing := column.isna()).any():
        raise InputError(
            f"--batch-key {batch_key}: {int(missing.sum())} cells have no batch, the first of them {cells.index[missing][0]!r} "
            f"(row {int(np.flatnonzero(missing)[0])}). Fill the column in the matrix and prepare again."
        )
    codes, names = pd.factorize(column.astype(str), sort=True)
    if len(names) < 2:
        raise InputError(
            f"--batch-key {batch_key}: all cells are of one batch, {names[0]!r}; batch correction needs two. "
            "Train without --batch-key."
        )
    if len(names) > len(cells) / 2:
        raise InputError(
            f"--batch-key {batch_key}: {len(names):,} batches of {len(cells):,} cells, such as {names[0]!r}; that is no column of "
            "batches."
        )
    return [str(name) for name in names], codes


def _checked(options: dict[str, Any]) -> TrainingOptions:
    from pydantic import ValidationError

    try:
        asked = TrainingOptions(**options)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}, found {e['input']!r}" for e in error.errors())
        raise InputError(f"Training options: {problems}.") from error
    if asked.l2_batch and asked.batch_key is None:
        raise InputError("--l2-batch is the penalty on the batch path; name the batches with --batch-key COLUMN.")
    if asked.freeze_trunk and asked.init_from is None:
        raise InputError("--freeze-trunk trains only the head; give the trunk with --init-from PACKAGE.")
    return asked


def _resumed_options(
    out: Path, facts: dict[str, Any], asked: TrainingOptions, given: dict[str, Any], prepared: PreparedPeaks
) -> TrainingOptions:
    if facts["data"]["manifest_sha256"] != sha256(prepared.folder / "manifest.json"):
        raise InputError(
            f"{prepared.folder} is not the data that {out} was started on ({facts['data']['folder']}). Resume with that."
        )
    recorded = TrainingOptions(**facts["options"])
    for name, value in asked.model_dump().items():
        if name in given and name != "epochs" and value != getattr(recorded, name):
            raise InputError(
                f"{out} was started with {name} = {getattr(recorded, name)!r}, so it cannot go on with {value!r}. "
                "Leave the option out, or start a new run."
            )
    return recorded.model_copy(update={"epochs": asked.epochs} if "epochs" in given else {})


def _loop(out: Path, fit: Any, asked: TrainingOptions, facts: dict[str, Any], quiet: bool) -> Run:
    from scbasset_zoo.training.display import Display

    history: list[dict[Any, Any]] = read_history(out).to_dict("records")[: fit.state["epoch"]]
    tensorboard = _tensorboard(out) if asked.tensorboard else None
    because = ""
    with _interruptible() as interrupted, Display(fit.n_steps, asked.epochs, quiet=quiet) as display:
        while not (because := _why_stop(fit.state, asked)):
            began = time.perf_counter()
            first_step = fit.state["step"]
            for step, loss in fit.epoch():
                if not np.isfinite(loss):
                    facts.update(status="failed", stopped_because=f"the loss became {loss}")
                    checkpoint.write_run(out, facts)
                    kept = "The last checkpoint is kept." if history else "There is no checkpoint yet."
                    raise TrainingError(
                        f"The loss became {loss} in epoch {fit.state['epoch'] + 1}, step {step + 1} of {fit.n_steps}. {kept} "
                        f"Try a lower --learning-rate (now {asked.learning_rate}) or --precision float32."
                    )
                display.step(fit, step, (step + 1 - first_step) * fit.batch_size / (time.perf_counter() - began))
                if interrupted.is_set():
                    break
            if interrupted.is_set() and fit.state["step"] < fit.n_steps:
                because = f"interrupted in epoch {fit.state['epoch'] + 1} after step {fit.state['step']} of {fit.n_steps}"
                break
            seconds = time.perf_counter() - began
            row = fit.end_epoch()
            row.update(peaks_per_second=(fit.n_steps - first_step) * fit.batch_size / seconds, seconds=time.perf_counter() - began)
            history = [*history[: row["epoch"] - 1], row]
            if fit.state["best_epoch"] == row["epoch"]:
                checkpoint.write_arrays(out / "best.npz", fit.weights(), {"epoch": row["epoch"], "auroc": row["auroc"]})
            _write_history(out, history)
            checkpoint.write_arrays(out / "checkpoint.npz", *fit.snapshot())
            if tensorboard:
                tensorboard(row)
            display.epoch(row)
            if interrupted.is_set() and not _why_stop(fit.state, asked):
                because = f"interrupted after epoch {row['epoch']}"
                break
    stopped = because.startswith("interrupted")
    if stopped:
        checkpoint.write_arrays(out / "checkpoint.npz", *fit.snapshot())
    facts.update(
        status="interrupted" if stopped else "finished",
        stopped_because=because,
        seconds=float(sum(row["seconds"] for row in history)),
        best_epoch=fit.state["best_epoch"],
    )
    checkpoint.write_run(out, facts)
    if history:
        from scbasset_zoo.training.display import plot_history

        with new_file(out / "training.png") as partial:
            plot_history(read_history(out), fit.state["best_epoch"], partial)
    return open_run(out)


def _why_stop(state: dict[str, Any], asked: TrainingOptions) -> str:
    if state["epoch"] - state["best_epoch"] >= asked.patience:
        return f"the training AUROC did not rise by {asked.min_delta:g} in {asked.patience} epochs"
    if state["epoch"] >= asked.epochs:
        return f"{asked.epochs} epochs were done"
    return ""


def _facts(prepared: PreparedPeaks, asked: TrainingOptions, fit: Any, batches: Any) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return {
        "schema_version": 1,
        "status": "running",
        "stopped_because": "",
        "started": pd.Timestamp.now("UTC").isoformat(timespec="seconds"),
        "data": {
            "folder": str(prepared.folder.resolve()),
            "manifest_sha256": sha256(prepared.folder / "manifest.json"),
            "manifest": prepared.manifest,
        },
        "options": asked.model_dump(),
        "precision": fit.precision,
        "architecture": asdict(fit.network.architecture),
        "batches": batches[0] if batches else None,
        "n_trainable": fit.n_trainable,
        "versions": {
            "scbasset_zoo": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "hardware": f"{len(gpus)} GPU" if gpus else f"{usable_cores()} CPU cores ({_processor()})",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _write_history(out: Path, history: list[dict[Any, Any]]) -> None:
    with new_file(out / "history.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, HISTORY)
        writer.writeheader()
        writer.writerows(history)


def _tensorboard(out: Path) -> Any:
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(out / "tensorboard"))

    def write(row: dict[str, Any]) -> None:
        with writer.as_default(step=row["epoch"]):
            for name in HISTORY[1:]:
                tf.summary.scalar(name, row[name])
            writer.flush()

    return write


def require_tensorflow() -> None:
    """Import TensorFlow without its start-up messages, or say how to install it.

    Raises
    ------
    TrainingError
        TensorFlow is not installed, or Keras is set to another backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with _stderr_on_failure_only():
            import keras
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")
    except ImportError as error:
        raise TrainingError(f"Training needs TensorFlow: pip install 'scbasset-zoo[train]' ({error}).") from error
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(f"Keras runs on {keras.backend.backend()}; training needs KERAS_BACKEND=tensorflow.")


@contextmanager
def _stderr_on_failure_only() -> Iterator[None]:
    """Hold back what C++ code writes to standard error; TensorFlow's loader ignores its own log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second one stops at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()
        say("stopping after this step; once more stops at once, back to the last checkpoint")

    for number in before:
        signal.signal(number, stop)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
