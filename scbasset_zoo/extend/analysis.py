"""The contract of an analysis: a class with options, inputs, a computation and figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import BaseModel

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.description import Description
from scbasset_zoo.options import Options as Options
from scbasset_zoo.progress import progress
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from scbasset_zoo.extend.tracks import Tracks
    from scbasset_zoo.runtime.model import Model

    Result: TypeAlias = ad.AnnData | xr.Dataset
    # Combines the results of several models; it is given them, the inputs of the first model, and the context of the run.
    Combine: TypeAlias = "Callable[[Sequence[Any], Any, Context], Result]"

SUFFIXES = {"AnnData": (".h5ad", ".zarr"), "Dataset": (".nc", ".zarr")}
TABLE_SUFFIXES = (".parquet", ".tsv")
"""Suffixes of tables, which an analysis that names them in `suffixes` writes into ``context.out`` itself."""


@dataclass(frozen=True)
class Context:
    """What `run` is given beside the model, the inputs and the options.

    Attributes
    ----------
    out : Path or None
        File to which the analysis may write its result itself, block by block, if the result is larger than memory.
        None if the result must be returned. If its suffix is one of `TABLE_SUFFIXES`, the analysis must write it, and return a
        result for figures and the report, such as the rows that stand out.
    quiet : bool
        Show no progress.
    provenance : dict
        Where the result comes from. It is added to a result that is returned. An analysis that writes `out` itself puts it into
        ``.uns["scbasset_zoo"]``.
    """

    out: Path | None
    quiet: bool
    provenance: dict[str, str]

    def progress(self, description: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """Show progress, as :func:`scbasset_zoo.extend.console.progress` does, unless `quiet` is true."""
        return progress(description, total, quiet=self.quiet)


class Analysis(ABC):
    """An analysis of a model. Subclass it, and return the class from `register_analyses`.

    The docstring of the class, up to its sections, is the help of the command and the introduction of the report. Import heavy
    modules inside `run` and `plot`, so that listing the analyses stays quick.

    Attributes
    ----------
    name : str
        The name in ``sz.run(name)`` and `scbasset-zoo run NAME`.
    Options : pydantic model
        The options of the analysis. Derive it from :class:`scbasset_zoo.extend.analysis.Options`, and give each field a
        description. The options of the command are made from it.
    suffixes : tuple of str
        Suffixes of the files that can hold the result. ``SUFFIXES["Dataset"]`` if it is an xarray.Dataset. `TABLE_SUFFIXES` may be
        added by an analysis that writes tables itself.
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
            The inputs of `run`. None unless this method is overridden.

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
            An AnnData of cells or groups x something. A Dataset if more than two dimensions are needed.
        """

    def combiner(self, options: Any) -> Combine:
        """Return the function that combines the results of several models of the same cells. It is called before any work.

        The analysis is run with each model, with the same options. The models have the same cells in the same order, and the
        latent space of each is its own: combine logits or probabilities of cells or groups. The function is given the results,
        the inputs of the first model, and the context of the run; it returns the result, or writes `context.out`, as `run` does.
        Results that `run` wrote are open files. :func:`scbasset_zoo.extend.several_models.combine_anndata` does for most.

        Parameters
        ----------
        options : an instance of `Options`

        Returns
        -------
        function of (results, inputs, context)

        Raises
        ------
        InputError
            The results cannot be combined: always, unless this method is overridden, or with these options.
        """
        raise InputError(f"The analysis {self.name} takes one model: its results are not combined over models. Run it for each.")

    def tracks(self, inputs: Any, options: Any) -> Tracks:
        """Return the tracks that a result has along the genome, for bigWig files and the genome browser of the report.

        It is called after `open_inputs` and before any work.

        Parameters
        ----------
        inputs : object
            What `open_inputs` returned for the first model.
        options : an instance of `Options`

        Returns
        -------
        Tracks

        Raises
        ------
        InputError
            The result has no tracks: always, unless this method is overridden, or with these options.
        """
        raise InputError(
            f"The analysis {self.name} has no tracks along the genome: leave {option('bigwig')} and {option('igv')} out."
        )

    def plot(self, result: Result) -> Mapping[str, Figure]:
        """Draw the figures of a result.

        Parameters
        ----------
        result : AnnData or xarray.Dataset
            As `run` returned it, or as read from its file.

        Returns
        -------
        mapping of str to Figure
            Figures by file name without suffix. Empty unless this method is overridden.
        """
        return {}

    def tables(self, result: Result) -> Mapping[str, pd.DataFrame]:
        """Return the tables that the report of a result shows, by name.

        These are the DataFrames in ``.uns`` unless this method is overridden.
        """
        import pandas as pd

        return {name: value for name, value in getattr(result, "uns", {}).items() if isinstance(value, pd.DataFrame)}

    def describe(self, result: Result) -> Description:
        """Describe a result in sentences for its report: findings, captions, how to read it, and what to do next.

        Parameters
        ----------
        result : AnnData or xarray.Dataset
            As `run` returned it, or as read from its file.

        Returns
        -------
        Description
            Empty unless this method is overridden.
        """
        return Description()
