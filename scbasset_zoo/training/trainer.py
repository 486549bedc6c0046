"""Fits scBasset to a prepared peak set: `train` starts a run or resumes one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination, hold, new_folder, remove
from scbasset_zoo.options import accepts_earlier_names, checked_options, declares_options
from scbasset_zoo.progress import say
from scbasset_zoo.training.batches import read_batches
from scbasset_zoo.training.checkpoint import Arrays, read_arrays
from scbasset_zoo.training.cluster import is_other_worker
from scbasset_zoo.training.dataset import PreparedPeaks, open_prepared
from scbasset_zoo.training.loop import TrainingLoop
from scbasset_zoo.training.run_folder import (
    Run,
    check_state,
    checked_record,
    files_of_run,
    open_run,
    read_history,
    write_record,
)
from scbasset_zoo.training.run_record import manifest_digest, new_record, record_devices
from scbasset_zoo.training.tensorflow_setup import require_tensorflow
from scbasset_zoo.training.train_options import TrainingKeywords, TrainingOptions
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from scbasset_zoo.training.replicas import Replicas

# Options that may change when a run is resumed that failed because a number was not finite.
_AGAINST_DIVERGENCE = ("learning_rate", "precision")


@declares_options(TrainingOptions)
@accepts_earlier_names({"data": "prepared"})
def train(
    prepared: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Unpack[TrainingKeywords],
) -> Run:
    """Fit scBasset to a prepared peak set.

    The loss is binary cross-entropy, mean over peaks and cells, and the optimiser is Adam(0.01, 0.95, 0.9995). Windows are
    shifted by up to 3 bp and reverse-complemented at random (Yuan & Kelley 2022, Methods, "Training"). Training stops when
    the best training AUROC (mean over cells) has not risen by 1e-6 in 50 epochs, or after 1,000 epochs. The result is the
    weights at the best training AUROC.

    Parameters
    ----------
    prepared : path
        Folder made by :func:`scbasset_zoo.prepare`.
    out : path
        Folder for the run.
    resume : bool
        Continue the run in `out` after an interruption. On a CPU, the weights end identical to those of an uninterrupted run
        on as many devices; on others they differ by rounding.
        A run that failed may continue with another `learning_rate` or `precision`.
    overwrite : bool
        Replace a run that is in `out`.
    quiet : bool
        Show no progress.
    **options
        See :class:`scbasset_zoo.training.train_options.TrainingOptions`.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        The prepared peak set, the run, an option or the destination cannot be used.
    TrainingError
        TensorFlow is not installed, or a loss or weight is no longer finite.
    """
    out = Path(out)
    settings = checked_options("train", TrainingOptions, options)
    if resume and overwrite:
        raise InputError(
            f"Give either {option('resume', True)}, which goes on with a run, or {option('overwrite', True)}, not both."
        )
    peaks = open_prepared(prepared)
    resumes_as = checked_record(out)["options"]["strategy"] if resume and "strategy" not in options else settings.strategy
    if is_other_worker(resumes_as):
        return _follow(out, peaks, settings, options, resume=resume)
    if resume:
        with hold(out):
            return _resume(out, peaks, settings, options, quiet)
    with destination(out, overwrite=overwrite, replaceable=files_of_run, inputs=[prepared, settings.init_from]):
        return _start(out, peaks, settings, overwrite, quiet)


def _start(out: Path, peaks: PreparedPeaks, options: TrainingOptions, overwrite: bool, quiet: bool) -> Run:
    batches = read_batches(peaks.cells, options.batch_key, peaks.folder)
    options = options.for_cells(peaks.n_cells)
    _check_shift(peaks, options)
    replicas = _replicas(options, out)
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.process_settings import standard_settings

    with standard_settings():
        fit = Fit(peaks, options, batches, replicas=replicas)
        record = new_record(peaks, options, fit, batches)
        with new_folder(out, overwrite=overwrite) as folder:
            for table in ("cells.parquet", "peaks.parquet"):
                shutil.copyfile(peaks.folder / table, folder / table)
            write_record(folder, record)
        return TrainingLoop(out, fit, options, record, quiet=quiet).run()


def _resume(out: Path, peaks: PreparedPeaks, options: TrainingOptions, given: TrainingKeywords, quiet: bool) -> Run:
    record = checked_record(out)
    options = _resumed_options(out, record, options, given, peaks)
    arrays, state = _read_checkpoint(out, record)
    if record["status"] == "finished" and state["epoch"] >= options.epochs:
        say(f"{out} is finished already: {record['stopped_because']}.")
        return open_run(out)
    batches = read_batches(peaks.cells, options.batch_key, peaks.folder)
    _check_shift(peaks, options)
    replicas = _replicas(options, out)
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.process_settings import standard_settings

    with standard_settings():
        fit = Fit(peaks, _in_run(options, record), batches, resumed=True, replicas=replicas)
        fit.restore(arrays, state)
        for leftover in out.glob(".partial-*"):
            remove(leftover)
        _record_changes(record, options, state["epoch"])
        record_devices(record, fit, state["epoch"])
        record.update(options=options.model_dump(), precision=fit.precision, status="running", stopped_because="")
        write_record(out, record)
        return TrainingLoop(out, fit, options, record, quiet=quiet).run()


def _follow(out: Path, peaks: PreparedPeaks, options: TrainingOptions, given: TrainingKeywords, *, resume: bool) -> Run:
    """Train as another worker than the first one, which writes the run."""
    batches = read_batches(peaks.cells, options.batch_key, peaks.folder)
    options, record = options.for_cells(peaks.n_cells), {}
    if resume:
        record = checked_record(out)
        options = _resumed_options(out, record, options, given, peaks)
        arrays, state = _read_checkpoint(out, record)
        if record["status"] == "finished" and state["epoch"] >= options.epochs:
            return open_run(out)
    _check_shift(peaks, options)
    replicas = _replicas(options, out)
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.process_settings import standard_settings

    with standard_settings():
        in_run = _in_run(options, record) if resume else options
        fit = Fit(peaks, in_run, batches, resumed=resume, replicas=replicas)
        if resume:
            fit.restore(arrays, state)
        return TrainingLoop(out, fit, options, record, quiet=True).run()


def _replicas(options: TrainingOptions, out: Path) -> Replicas:
    """Open the devices that share each batch. Several workers must do so before TensorFlow does anything else."""
    require_tensorflow()
    from scbasset_zoo.training.replicas import Replicas

    replicas = Replicas(options.strategy)
    replicas.require_same({option("out"): str(out.absolute())})
    return replicas


def _in_run(options: TrainingOptions, record: dict[str, Any]) -> TrainingOptions:
    """Return the options that a resumed run computes with.

    Without a change of the option, the precision stays that of the run, whatever this machine prefers. So does the number of parts
    of a batch, whatever memory is free now.
    """
    is_changed = options.precision != record["options"]["precision"]
    precision = options.precision if is_changed else record["precision"]
    return options.model_copy(update={"precision": precision, "accumulate": record.get("batch_parts", 1)})


def _resumed_options(
    out: Path, record: dict[str, Any], options: TrainingOptions, given: TrainingKeywords, peaks: PreparedPeaks
) -> TrainingOptions:
    """Return the options of a run that is resumed: the recorded ones, with those changes that are possible."""
    if record["data"]["manifest_sha256"] != manifest_digest(peaks):
        raise InputError(
            f"{peaks.folder} is not the data that {out} was started on ({record['data']['folder']}). Resume with that folder."
        )
    recorded = TrainingOptions(**record["options"])
    may_change = {"epochs", "strategy", *(_AGAINST_DIVERGENCE if record["status"] == "failed" else ())}
    for name, value in options.model_dump().items():
        if name in given and name not in may_change and value != getattr(recorded, name):
            raise InputError(
                f"{out} was started {_given(name, getattr(recorded, name))}, so it cannot be resumed {_given(name, value)}. Leave "
                "the option out, or start a new run."
            )
    return recorded.model_copy(update={name: getattr(options, name) for name in may_change & set(given)})


def _given(name: str, value: Any) -> str:
    return f"without {option(name)}" if value is None else f"with {option(name, value)}"


def _read_checkpoint(out: Path, record: dict[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """Read the checkpoint of a run, and check that it is that of this run and fits its history."""
    path = out / "checkpoint.npz"
    arrays, state = read_arrays(path)
    check_state(path, record, state, ("epoch", "step", "loss_sum", "best_auroc", "best_epoch"))
    history = read_history(out)
    if state["epoch"] and not len(history):
        say(f"{out} has no history.csv: the rows of the first {state['epoch']:,} epochs are missing from now on.")
    elif state["epoch"] and history["epoch"].max() < state["epoch"]:
        raise InputError(
            f"{out / 'history.csv'} ends at epoch {history['epoch'].max()}, but checkpoint.npz is of epoch {state['epoch']}. Put "
            "the right file back, or delete history.csv to continue without the rows of the earlier epochs."
        )
    return arrays, state


def _record_changes(record: dict[str, Any], options: TrainingOptions, epoch: int) -> None:
    """Record the options that change when a failed run is resumed."""
    for name in _AGAINST_DIVERGENCE:
        before, after = record["options"].get(name), getattr(options, name)
        if before != after:
            change = {"option": name, "before": before, "after": after, "after_epoch": epoch}
            record["changed_options"] = [*record.get("changed_options", []), change]


def _check_shift(peaks: PreparedPeaks, options: TrainingOptions) -> None:
    if options.shift > peaks.flank:
        raise InputError(
            f"{option('shift', options.shift)} is more than the {peaks.flank} bp of flank stored in {peaks.folder}. Prepare again "
            f"with {option('flank', options.shift)}, or train with {option('shift', peaks.flank)} or less."
        )
