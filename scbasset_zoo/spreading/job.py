"""What another process must know to compute a part, and how it does so: model and inputs are opened once a process."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.parts import DividedAnalysis, checked_arrays
from scbasset_zoo.runtime.models import members
from scbasset_zoo.zoo.models import is_folder, open_model

if TYPE_CHECKING:
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.runtime.model import Model
    from scbasset_zoo.runtime.options import DeviceName, Precision

_lock = threading.Lock()


@dataclass(frozen=True)
class Job:
    """Divided work. It is sent with each part, so it names the model and the inputs and does not hold them.

    Attributes
    ----------
    kind : type
        The class of the analysis.
    options : an instance of its `Options`
    model : str
        Name, folder or URL of the model.
    card_sha256 : str
        The hash of the model's card, which a process checks when it opens the model.
    device, precision : str
        Those of the model where the work started.
    threads : int or None
        Threads that compute in each process.
    folder : str
        The folder that relative paths start from.
    """

    kind: type[DividedAnalysis]
    options: Any
    model: str
    card_sha256: str
    device: DeviceName
    precision: Precision
    threads: int | None
    folder: str

    def pickled(self) -> bytes:
        """Return the job as bytes; raise InputError if an option cannot be sent to another process."""
        try:
            return pickle.dumps(self)
        except Exception as error:  # pickle raises many kinds
            raise InputError(
                f"The options of {self.kind.name} cannot be sent to another process: {error}. Give files instead of objects."
            ) from error


def job_of(analysis: DividedAnalysis, given: Any, model: Model, options: Any, threads: int | None) -> Job:
    """Return the job of an analysis with a model that was given in some way: open, or by name, folder or URL."""
    device = model.device
    where = location(given, model), model.card_sha256, device.name, device.precision
    return Job(type(analysis), options, *where, threads, os.getcwd())


def location(given: Any, model: Model) -> str:
    """Return where another process finds a model: its name or URL if it was given so, otherwise its folder."""
    if isinstance(given, str) and ("://" in given or not is_folder(given)):
        return given
    return str(members(model)[0].package.folder.absolute())


def compute(pickled: bytes, number: int) -> Arrays:
    """Compute a part of a job, by its number. The last job of a process stays open.

    Raises
    ------
    InputError
        The model that this process finds is another one, or the work has other parts here.
    """
    with _lock:
        analysis, model, inputs, options, parts = _opened(pickled)
    if number >= len(parts):
        raise InputError(f"The work has {len(parts)} parts in a worker, and more where it started: give all the same input files.")
    return checked_arrays(analysis, analysis.run_part(model, inputs, options, parts[number]))


@functools.lru_cache(maxsize=1)
def _opened(pickled: bytes) -> tuple[DividedAnalysis, Model, Any, Any, Sequence[Any]]:
    """Open the model and the inputs of a job."""
    job: Job = pickle.loads(pickled)
    with contextlib.chdir(job.folder) if Path(job.folder).is_dir() else contextlib.nullcontext():
        model = open_model(job.model, job.device, threads=job.threads or _share_of_slot(), precision=job.precision)
        if model.card_sha256 != job.card_sha256:
            raise InputError(
                f"{job.model} is another model in a worker: its card has the hash {model.card_sha256[:12]}..., and "
                f"{job.card_sha256[:12]}... where the work started. Give every worker the same package."
            )
        analysis = job.kind()
        inputs = analysis.open_inputs(model, job.options)
        return analysis, model, inputs, job.options, analysis.parts(model, inputs, job.options)


def _share_of_slot() -> int | None:
    """Return 1 in a worker of Dask, which computes as many parts at once as it has threads; None elsewhere, for the default."""
    import sys

    worker = sys.modules.get("distributed.worker")
    try:
        return 1 if worker is not None and worker.get_worker() is not None else None
    except ValueError:  # this process is no worker
        return None
