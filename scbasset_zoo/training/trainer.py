"""Fits scBasset to a prepared peak set: `train` starts a run or resumes one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Unpack

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import check_destination, holding, new_folder, remove
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.progress import say
from scbasset_zoo.training.batches import read_batches
from scbasset_zoo.training.checkpoint import read_arrays
from scbasset_zoo.training.dataset import PreparedPeaks, open_prepared
from scbasset_zoo.training.loop import TrainingLoop
from scbasset_zoo.training.run_folder import Run, open_run, read_history, read_record, write_record
from scbasset_zoo.training.run_record import manifest_digest, new_record
from scbasset_zoo.training.tensorflow_setup import require_tensorflow
from scbasset_zoo.training.train_options import TrainingKeywords, TrainingOptions
from scbasset_zoo.wording import option


@declares_options(TrainingOptions)
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
        Continue the run in `out` after an interruption. On a CPU, the weights end identical to those of an uninterrupted run.
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
        The prepared peak set, an option or the destination cannot be used.
    TrainingError
        TensorFlow is not installed, or the loss is no longer finite.
    """
    out = Path(out)
    settings = checked_options("train", TrainingOptions, options)
    peaks = open_prepared(prepared)
    if resume:
        return _resume(out, peaks, settings, options, quiet)
    check_destination(out, overwrite=overwrite, replaceable=holding("run.json"), inputs=[prepared, settings.init_from])
    return _start(out, peaks, settings, overwrite, quiet)


def _start(out: Path, peaks: PreparedPeaks, options: TrainingOptions, overwrite: bool, quiet: bool) -> Run:
    batches = read_batches(peaks.cells, options.batch_key, peaks.folder)
    _check_shift(peaks, options)
    require_tensorflow()
    from scbasset_zoo.training.fit import Fit

    fit = Fit(peaks, options, batches)
    record = new_record(peaks, options, fit, batches)
    with new_folder(out, overwrite=overwrite) as folder:
        for table in ("cells.parquet", "peaks.parquet"):
            shutil.copyfile(peaks.folder / table, folder / table)
        write_record(folder, record)
    return TrainingLoop(out, fit, options, record, quiet=quiet).run()


def _resume(out: Path, peaks: PreparedPeaks, options: TrainingOptions, given: TrainingKeywords, quiet: bool) -> Run:
    record = read_record(out)
    options = _resumed_options(out, record, options, given, peaks)
    if record["status"] == "finished" and len(read_history(out)) >= options.epochs:
        say(f"{out} is finished already: {record['stopped_because']}.")
        return open_run(out)
    batches = read_batches(peaks.cells, options.batch_key, peaks.folder)
    _check_shift(peaks, options)
    require_tensorflow()
    from scbasset_zoo.training.fit import Fit

    fit = Fit(peaks, options, batches, resumed=True)
    for leftover in out.glob(".partial-*"):
        remove(leftover)
    fit.restore(*read_arrays(out / "checkpoint.npz"))
    record.update(options=options.model_dump(), status="running")
    write_record(out, record)
    return TrainingLoop(out, fit, options, record, quiet=quiet).run()


def _resumed_options(
    out: Path, record: dict[str, Any], options: TrainingOptions, given: TrainingKeywords, peaks: PreparedPeaks
) -> TrainingOptions:
    """Return the recorded options of a run; the number of epochs may change, all others must be the recorded ones."""
    if record["data"]["manifest_sha256"] != manifest_digest(peaks):
        raise InputError(
            f"{peaks.folder} is not the data that {out} was started on ({record['data']['folder']}). Resume with that folder."
        )
    recorded = TrainingOptions(**record["options"])
    for name, value in options.model_dump().items():
        if name in given and name != "epochs" and value != getattr(recorded, name):
            raise InputError(
                f"{out} was started with {option(name, getattr(recorded, name))}, so it cannot be resumed with "
                f"{option(name, value)}. Leave the option out, or start a new run."
            )
    return recorded.model_copy(update={"epochs": options.epochs} if "epochs" in given else {})


def _check_shift(peaks: PreparedPeaks, options: TrainingOptions) -> None:
    if options.shift > peaks.flank:
        raise InputError(
            f"{option('shift', options.shift)} is more than the {peaks.flank} bp of flank stored in {peaks.folder}. Prepare again "
            f"with {option('flank', options.shift)}, or train with {option('shift', peaks.flank)} or less."
        )
