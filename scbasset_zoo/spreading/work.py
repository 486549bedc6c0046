"""Divided work that is opened in this process: an analysis with its models, inputs and options."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.parts import DividedAnalysis, checked_arrays
from scbasset_zoo.files import remove
from scbasset_zoo.progress import progress
from scbasset_zoo.spreading.executors import threads_of
from scbasset_zoo.spreading.job import job_of, locations, parts_of_models
from scbasset_zoo.spreading.part_files import PartFolder, header_of
from scbasset_zoo.spreading.results import results_in_order
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Analysis, Context, Result
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.runtime.model import Model


@dataclass(frozen=True)
class Work:
    """Divided work.

    Attributes
    ----------
    analysis : DividedAnalysis
    given : sequence
        The models as the user gave them: open, or names, folders or URLs.
    models : sequence of Model
    inputs : sequence
        What the analysis opened for each model.
    options : object
        Those of the analysis.
    provenance : mapping
        Where the result comes from.
    """

    analysis: DividedAnalysis
    given: Sequence[Any]
    models: Sequence[Model]
    inputs: Sequence[Any]
    options: Any
    provenance: Mapping[str, str]

    @functools.cached_property
    def parts(self) -> Sequence[tuple[int, Any]]:
        """The parts of the first model, then those of the next, each with the number of its model."""
        return parts_of_models(self.analysis, self.models, self.inputs, self.options)

    @functools.cached_property
    def header(self) -> dict[str, Any]:
        """The header of files of its parts."""
        return header_of(self.provenance, self.options, locations(self.given, self.models), len(self.parts))

    def joined(self, results: Iterator[tuple[int, Arrays]], model: int, context: Context) -> Result:
        """Join the parts of a model, by its number. `results` has all parts in order; those of the models before it are read."""
        n_parts = sum(number == model for number, _ in self.parts)
        of_model = ((self.parts[number][1], arrays) for number, arrays in itertools.islice(results, n_parts))
        result = self.analysis.join(self.models[model], self.inputs[model], self.options, of_model, context)
        # What an analysis leaves unread belongs to this model still.
        for _ in of_model:
            pass
        return result

    @contextlib.contextmanager
    def computed(
        self, numbers: Sequence[int], executor: Executor | None, resume: Path | None, *, quiet: bool
    ) -> Iterator[Iterator[tuple[int, Arrays]]]:
        """Yield an iterator over parts, by number, and their results. They are computed as they are read.

        Parameters
        ----------
        numbers : sequence of int
            The parts.
        executor : Executor, optional
            Computes them; without it, they are computed in this process.
        resume : path, optional
            The output of the run, beside which finished parts are kept until the block succeeds.
        quiet : bool
            Show no progress.
        """
        folder = PartFolder(resume, self.header) if resume is not None else None
        with progress("computing parts", len(numbers), quiet=quiet) as advance:
            results = results_in_order(
                numbers,
                self._compute,
                pickled=lambda: job_of(self.analysis, self.given, self.models, self.options, threads_of(executor)).pickled(),
                executor=executor,
                folder=folder,
                advance=advance,
            )
            with contextlib.closing(results):
                yield results
        if folder is not None:
            remove(folder.path)

    def _compute(self, number: int) -> Arrays:
        model, part = self.parts[number]
        return checked_arrays(self.analysis, self.analysis.run_part(self.models[model], self.inputs[model], self.options, part))


def require_divided(analysis: Analysis) -> DividedAnalysis:
    """Return an analysis as one whose work divides; raise InputError if it does not."""
    if not isinstance(analysis, DividedAnalysis):
        raise InputError(f"The work of {analysis.name} does not divide into parts: run it without executor, shards and resume.")
    return analysis


def require_no_pipes(options: Any) -> None:
    """Raise InputError if an option is neither a file nor a folder: a pipe can be read once, and by one process."""
    for name, value in dict(options).items():
        if isinstance(value, str | os.PathLike) and os.path.exists(value) and not (os.path.isfile(value) or os.path.isdir(value)):
            raise InputError(
                f"{option(name, os.fspath(value))} is a pipe or another special file, and divided work reads it again, in other "
                "processes or later. Write it to a file, and give that."
            )
