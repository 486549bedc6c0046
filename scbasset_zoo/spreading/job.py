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
from scbasset_zoo.progress import silent
from scbasset_zoo.runtime.models import members
from scbasset_zoo.zoo.models import is_folder, opened

if TYPE_CHECKING:
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.runtime.model import Model
    from scbasset_zoo.runtime.options import DeviceName, Precision

_lock = threading.Lock()


@dataclass(frozen=True)
class Job:
    """Divided work. It is sent with each part, so it names the models and the inputs and does not hold them.

    Attributes
    ----------
    kind : type
        The class of the analysis.
    options : an instance of its `Options`
    models : tuple of str
        Name, folder or URL of each model.
    card_sha256 : tuple of str
        The hash of each model's card, which a process checks when it opens the models.
    device, precision : str
        Those of the models where the work started.
    threads : int or None
        Threads that compute in each process.
    folder : str
        The folder that relative paths start from.
    """

    kind: type[DividedAnalysis]
    options: Any
    models: tuple[str, ...]
    card_sha256: tuple[str, ...]
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


def job_of(
    analysis: DividedAnalysis, given: Sequence[Any], models: Sequence[Model], options: Any, threads: int | None = None
) -> Job:
    """Return the job of an analysis with models that were given in some way: open, or by name, folder or URL."""
    hashes = tuple(model.card_sha256 for model in models)
    device = models[0].device
    where = locations(given, models), hashes, device.name, device.precision
    return Job(type(analysis), options, *where, threads, os.getcwd())


def locations(given: Sequence[Any], models: Sequence[Model]) -> tuple[str, ...]:
    """Return where another process finds each model: its name or URL if it was given so, otherwise its folder."""
    return tuple(
        name if isinstance(name, str) and ("://" in name or not is_folder(name)) else str(model.package.folder.absolute())
        for name, model in zip(given, models, strict=True)
    )


def compute(pickled: bytes, number: int) -> Arrays:
    """Compute a part of a job, by its number. The last job of a process stays open.

    Raises
    ------
    InputError
        A model that this process finds is another one, or the work has other parts here.
    """
    with _lock:
        analysis, models, inputs, options = _opened(pickled)
        parts = parts_of_models(analysis, models, inputs, options)
    if number >= len(parts):
        raise InputError(f"The work has {len(parts)} parts in a worker, and more where it started: give all the same input files.")
    model, part = parts[number]
    return checked_arrays(analysis, analysis.run_part(models[model], inputs[model], options, part))


def parts_of_models(
    analysis: DividedAnalysis, models: Sequence[Model], inputs: Sequence[Any], options: Any
) -> list[tuple[int, Any]]:
    """Return all parts of the first model, then those of the next, each with the number of its model."""
    return [
        (number, part)
        for number, (model, of_model) in enumerate(zip(models, inputs, strict=True))
        for part in analysis.parts(model, of_model, options)
    ]


@functools.lru_cache(maxsize=1)
def _opened(pickled: bytes) -> tuple[DividedAnalysis, Sequence[Model], Sequence[Any], Any]:
    """Open the models and the inputs of a job."""
    job: Job = pickle.loads(pickled)
    # What is said of models and inputs was said where the work started.
    with silent(), contextlib.chdir(job.folder) if Path(job.folder).is_dir() else contextlib.nullcontext():
        # Where the work started, models of different cells were refused, unless their common cells were asked for.
        models = members(
            opened(job.models, job.device, threads=job.threads or _share_of_slot(), common_cells=True, precision=job.precision)
        )
        for name, model, expected in zip(job.models, models, job.card_sha256, strict=True):
            if model.card_sha256 != expected:
                raise InputError(
                    f"{name} is another model in a worker: its card has the hash {model.card_sha256[:12]}..., and "
                    f"{expected[:12]}... where the work started. Give every worker the same package."
                )
        analysis = job.kind()
        return analysis, models, [analysis.open_inputs(model, job.options) for model in models], job.options


def _share_of_slot() -> int | None:
    """Return 1 in a worker of Dask, which computes as many parts at once as it has threads; None elsewhere, for the default."""
    import sys

    worker = sys.modules.get("distributed.worker")
    try:
        return 1 if worker is not None and worker.get_worker() is not None else None
    except ValueError:  # this process is no worker
        return None
