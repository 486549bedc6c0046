"""The contract of an analysis whose work divides into parts, which other processes and machines may compute."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from scbasset_zoo.errors import PluginError
from scbasset_zoo.extend.analysis import Analysis, Context

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scbasset_zoo.extend.analysis import Result
    from scbasset_zoo.runtime.model import Model

    Arrays: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Range:
    """A part: consecutive regions, peaks, variants or motifs.

    Attributes
    ----------
    kind : str
        What they are, such as "regions".
    first, last : int
        From `first` up to, and without, `last`.
    """

    kind: str
    first: int
    last: int


def ranges(kind: str, n: int, size: int) -> list[Range]:
    """Divide n regions, peaks, variants or motifs into parts of one size; the last part may be smaller."""
    return [Range(kind, first, min(first + size, n)) for first in range(0, n, size)]


class DividedAnalysis(Analysis):
    """An analysis whose work divides: it says its parts, computes one part, and joins the results of all parts.

    `run` computes the parts in turn, in this process. :func:`scbasset_zoo.run` may compute them elsewhere. The result is the same
    to the last bit, because the parts are the same. So nothing in a part may depend on the number of workers or on other parts:
    the parts follow from inputs and options alone, and a part that draws at random is seeded by its own number.
    """

    @abstractmethod
    def parts(self, model: Model, inputs: Any, options: Any) -> Sequence[Any]:
        """Return the parts in the order in which `join` needs their results.

        Parameters
        ----------
        model : Model
        inputs : object
            What `open_inputs` returned.
        options : an instance of `Options`

        Returns
        -------
        sequence
            Small descriptions, such as :func:`ranges`. Each process makes its own list of them.
        """

    @abstractmethod
    def run_part(self, model: Model, inputs: Any, options: Any, part: Any) -> Arrays:
        """Compute one part, without showing progress.

        Parameters
        ----------
        model, inputs, options
            As for `parts`. In another process, they are opened there.
        part : object
            One of `parts`.

        Returns
        -------
        mapping of str to array
            Arrays of numbers, truth values or texts, in NumPy's own types: they are kept in files without pickles.
        """

    @abstractmethod
    def join(self, model: Model, inputs: Any, options: Any, results: Iterable[tuple[Any, Arrays]], context: Context) -> Result:
        """Join the results of all parts.

        Parameters
        ----------
        model, inputs, options
            As for `parts`.
        results : iterable of (part, arrays)
            Each part with what `run_part` returned, in the order of `parts`. It can be read once. Only the parts that are read are
            in memory, so a result that is larger than memory can be written to `context.out` part by part.
        context : Context

        Returns
        -------
        AnnData or xarray.Dataset
            As from :meth:`scbasset_zoo.extend.analysis.Analysis.run`.
        """

    def run(self, model: Model, inputs: Any, options: Any, context: Context) -> Result:
        """Compute all parts in this process, and join them."""
        return self.join(model, inputs, options, self._in_turn(model, inputs, options, context), context)

    def _in_turn(self, model: Model, inputs: Any, options: Any, context: Context) -> Iterator[tuple[Any, Arrays]]:
        parts = self.parts(model, inputs, options)
        with context.progress("computing parts", len(parts)) as advance:
            for part in parts:
                yield part, checked_arrays(self, self.run_part(model, inputs, options, part))
                advance(1)


def checked_arrays(analysis: Analysis, arrays: Any) -> dict[str, NDArray[Any]]:
    """Return what `run_part` returned as a dict of arrays; raise PluginError if it cannot be kept in a file without pickles."""
    checked = {str(name): np.asarray(values) for name, values in dict(arrays).items()}
    for name, values in checked.items():
        if values.dtype.hasobject:
            raise PluginError(
                f"The analysis {analysis.name}: run_part returned {name!r} as an array of Python objects. Expected numbers, truth "
                "values or texts; texts are made with numpy.array(texts, dtype=str)."
            )
    return checked
