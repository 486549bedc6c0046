"""What an analysis is: a class with options, a run and figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import BaseModel

from scbasset_zoo.options import Options as Options
from scbasset_zoo.progress import progress

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from scbasset_zoo.runtime.model import Model

    Result: TypeAlias = ad.AnnData | xr.Dataset

SUFFIXES = {"AnnData": (".h5ad", ".zarr"), "Dataset": (".nc", ".zarr")}


@dataclass(frozen=True)
class Context:
    """What an analysis is given beside its options.

    Attributes
    ----------
    out : Path or None
        Where a result larger than memory may be written, by the analysis itself; None when the result is to be returned.
    quiet : bool
        Show no progress.
    provenance : dict
        What the result will carry; an analysis that writes to `out` itself puts it into ``uns["scbasset_zoo"]``.
    """

    out: Path | None
    quiet: bool
    provenance: dict[str, str]

    def progress(self, description: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A progress bar, as :func:`scbasset_zoo.progress.progress`."""
        return progress(description, total, quiet=self.quiet)


class Analysis(ABC):
    """An analysis of a model; subclass it and return the class from `register_analyses`.

    The first line of the class's docstring is its help. Modules that are heavy are imported inside `run` and `plot`.

    Attributes
    ----------
    name : str
        As in `scbasset-zoo run NAME`.
    Options : pydantic model
        What may be asked; options of the command line are made of its fields.
    suffixes : tuple of str
        Of the files that its result is written to: ``SUFFIXES["Dataset"]`` for an xarray.Dataset.
    """

    name: ClassVar[str]
    Options: ClassVar[type[BaseModel]] = Options
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES["AnnData"]

    def open_inputs(self, model: Model, options: Any) -> Any:
        """Open and check what the options name, before any work.

        Parameters
        ----------
        model : Model
        options : an instance of `Options`

        Returns
        -------
        object
            The inputs, which `run` is given. None unless overridden.

        Raises
        ------
        InputError
            The analysis cannot be done with this model and these options.
        """
        return None

    @abstractmethod
    def run(self, model: Model, inputs: Any, options: Any, context: Context) -> Result:
        """Compute the result.

        Parameters
        ----------
        model : Model
        inputs : object
            What `open_inputs` returned for this model and these options.
        options : an instance of `Options`
        context : Context

        Returns
        -------
        AnnData or xarray.Dataset
            An AnnData of cells (or groups) x something; a Dataset where more than two dimensions are needed.
        """

    def plot(self, result: Result) -> Mapping[str, Figure]:
        """Figures of a result, as returned or as read from its file, by file name without suffix; none unless overridden."""
        return {}

    def tables(self, result: Result) -> Mapping[str, pd.DataFrame]:
        """Tables of a result for its report, by name; the DataFrames in ``.uns`` unless overridden."""
        import pandas as pd

        return {name: value for name, value in getattr(result, "uns", {}).items() if isinstance(value, pd.DataFrame)}
