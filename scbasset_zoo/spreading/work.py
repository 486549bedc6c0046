"""Divided work that is opened in this process: an analysis with its model, inputs and options."""

from __future__ import annotations

import contextlib
import functools
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
from scbasset_zoo.spreading.job import job_of, location
from scbasset_zoo.spreading.part_files import PartFolder, header_of
from scbasset_zoo.spreading.results import results_in_order

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Analysis
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.runtime.model import Model


@dataclass(frozen=True)
class Work:
    """Divided work.

    Attributes
    ----------
    analysis : DividedAnalysis
    given : object
        The model as the user gave it: open, or a name, folder or URL.
    model : Model
    inputs, options : object
        Those of the analysis.
    provenance : mapping
        Where the result comes from.
    """

    analysis: DividedAnalysis
    given: Any
    model: Model
    inputs: Any
    options: Any
    provenance: Mapping[str, str]

    @functools.cached_property
    def parts(self) -> Sequence[Any]:
        """The parts of the work."""
        return self.analysis.parts(self.model, self.inputs, self.options)

    @functools.cached_property
    def header(self) -> dict[str, Any]:
        """The header of files of its parts."""
        return header_of(self.provenance, self.options, location(self.given, self.model), len(self.parts))

    def named(self, results: Iterator[tuple[int, Arrays]]) -> Iterator[tuple[Any, Arrays]]:
        """Yield parts in place of their numbers."""
        for number, arrays in results:
            yield self.parts[number], arrays

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
                pickled=lambda: job_of(self.analysis, self.given, self.model, self.options, threads_of(executor)).pickled(),
                executor=executor,
                folder=folder,
                advance=advance,
            )
            with contextlib.closing(results):
                yield results
        if folder is not None:
            remove(folder.path)

    def _compute(self, number: int) -> Arrays:
        arrays = self.analysis.run_part(self.model, self.inputs, self.options, self.parts[number])
        return checked_arrays(self.analysis, arrays)


def require_divided(analysis: Analysis, n_models: int) -> DividedAnalysis:
    """Return an analysis as one whose work divides.

    Raises
    ------
    InputError
        Its work does not divide, or there are several models.
    """
    if not isinstance(analysis, DividedAnalysis):
        raise InputError(f"The work of {analysis.name} does not divide into parts: run it without executor, shards and resume.")
    if n_models > 1:
        raise InputError(f"The work of {analysis.name} is spread for one model; found {n_models}. Run it for each model.")
    return analysis
