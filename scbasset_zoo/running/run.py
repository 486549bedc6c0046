"""Runs a registered analysis with one model or several: checks its options, computes and writes the result, figures and report."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scbasset_zoo import plugin_manager
from scbasset_zoo.errors import InputError, PluginError, ScbassetZooError
from scbasset_zoo.extend.analysis import TABLE_SUFFIXES, Analysis, Context
from scbasset_zoo.extend.description import Description
from scbasset_zoo.files import destination, new_file, require_separate
from scbasset_zoo.options import checked_options
from scbasset_zoo.progress import say
from scbasset_zoo.running.command import command_of
from scbasset_zoo.running.figure_files import INSTALL_ANALYSES, figure_folder, require_matplotlib, write_figures
from scbasset_zoo.running.genome_browser import genome_browser
from scbasset_zoo.running.libraries import default_style, prepare_libraries
from scbasset_zoo.running.results import provenance_of, read_result, with_provenance, write_result
from scbasset_zoo.running.tracks import StatedTracks
from scbasset_zoo.runtime.models import Models, members
from scbasset_zoo.spreading.executors import described
from scbasset_zoo.spreading.work import Work, require_divided, require_no_pipes
from scbasset_zoo.tracks.bigwig import tracks_in
from scbasset_zoo.wording import option
from scbasset_zoo.zoo.models import opened

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pydantic import BaseModel

    from scbasset_zoo.extend.analysis import Combine, Result
    from scbasset_zoo.extend.parts import DividedAnalysis
    from scbasset_zoo.runtime.model import Model
    from scbasset_zoo.runtime.options import DeviceName, Precision
    from scbasset_zoo.zoo.models import Given

    # Computes the result of a model, by its number.
    OfModel: TypeAlias = Callable[[int, Context], Result]
    # Opens such a function within a block, given models, the inputs of each, options and context.
    Spread: TypeAlias = Callable[[Sequence[Model], Sequence[Any], Any, Context], contextlib.AbstractContextManager[OfModel]]


def run(
    name: str,
    model: Given,
    *,
    out: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    bigwig: str | os.PathLike[str] | None = None,
    igv: bool = False,
    device: DeviceName = "auto",
    precision: Precision = "float32",
    common_cells: bool = False,
    executor: Executor | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Result:
    """Run a registered analysis with a model, or with several models of the same cells.

    With several, the result of each is computed, and the result is their mean; its layer or variables "std" have the standard
    deviation over models. Analyses whose results cannot be combined refuse several models.

    Parameters
    ----------
    name : str
        Name of the analysis. :func:`scbasset_zoo.analyses` lists the names.
    model : Model, Models, or a name, folder or URL as for :func:`scbasset_zoo.open_model`, or a list of these
    out : path, optional
        File to which the result is also written: .h5ad or .zarr for an AnnData, .nc or .zarr for a Dataset. Some analyses also
        write a table, .parquet or .tsv; what is returned then has only the rows that stand out.
    plot : path, optional
        Folder for the figures, as PNG and PDF.
    report : path, optional
        File for an HTML page with what was found, figures, tables and options.
    bigwig : path, optional
        Folder for a bigWig file of each group or cell, if the result has values along the genome.
    igv : bool
        Show the regions in a genome browser (igv.js) in the report. It is a part of the page, and sends nothing over the network.
    device : "auto", "cpu", "openvino", "cuda" or "tensorrt"
        Where the model runs, if `model` is not open.
    precision : "float32", "bfloat16", "float16" or "tf32"
        What the factors of products are rounded to on that device, see :func:`scbasset_zoo.open_model`.
    common_cells : bool
        Keep the cells that all models have; see :func:`scbasset_zoo.open_models`.
    executor : concurrent.futures.Executor, optional
        Computes the parts of the work, such as regions: :class:`scbasset_zoo.LocalProcesses`, or Dask's ``client.get_executor()``.
        The result is the same. Analyses whose work does not divide refuse it.
    resume : bool
        Keep each finished part beside `out` until the run is done, and go on with those that an interrupted run left there.
    overwrite : bool
        Replace `out`, `plot`, `report` and `bigwig` if they exist.
    quiet : bool
        Show no progress.
    **options
        Options of the analysis, such as ``group_by="cell_type"``. ``scbasset_zoo.analyses(name)`` is a table of all options of an
        analysis, with their defaults.

    Returns
    -------
    AnnData or xarray.Dataset
        With provenance in ``.uns["scbasset_zoo"]``, or as JSON in ``.attrs["scbasset_zoo"]``.

    Raises
    ------
    InputError
        There is no such analysis, it cannot use an option or several models, it has no tracks, the models do not belong together,
        or a destination cannot be written. Raised before any work.
    PluginError
        Several plugins register the analysis, or it breaks its contract.
    """
    analysis = plugin_manager.analyses().get(name)()
    checked = checked_options(name, analysis.Options, options)
    outputs = Outputs(
        out=None if out is None else Path(out),
        plot=None if plot is None else Path(plot),
        report=None if report is None else Path(report),
        bigwig=None if bigwig is None else Path(bigwig),
        igv=igv,
        overwrite=overwrite,
    )
    given = list(model) if isinstance(model, Models | list | tuple) else [model]
    spread = None
    if executor is not None or resume:
        require_no_pipes(checked)
        spread = _spread(require_divided(analysis), given, executor, _place_of_parts(outputs.out) if resume else None)
    combine = analysis.combiner(checked) if len(given) > 1 else None
    with outputs.held(analysis, inputs=[given, *options.values()]):
        models = members(opened(model, device, common_cells=common_cells, precision=precision))
        return run_opened(analysis, models, checked, outputs, combine, spread, quiet=quiet)


def run_opened(
    analysis: Analysis,
    models: Sequence[Model],
    checked: BaseModel,
    outputs: Outputs,
    combine: Combine | None = None,
    spread: Spread | None = None,
    *,
    quiet: bool,
) -> Result:
    """Compute and write the result, the figures and the report.

    Parameters
    ----------
    analysis : Analysis
    models : sequence of Model
    checked : an instance of the analysis's `Options`
    outputs : Outputs
        They are held.
    combine : callable, optional
        Combines the results of several models.
    spread : callable, optional
        Joins parts of the work that are computed elsewhere. Without it, the analysis runs in this process.
    quiet : bool
        Show no progress.
    """
    prepare_libraries()
    for model in models:
        if model.card.verdict is not None and model.card.verdict.learnt != "sequence":
            say(model.card.verdict.statement)
    provenance = provenance_of(analysis, models, checked)
    with naming_plugin(analysis, provenance["plugin"]):
        result, stated = _compute(analysis, models, checked, outputs, combine, spread, quiet=quiet, provenance=provenance)
        if stated is not None:
            stated.write(result, overwrite=outputs.overwrite)
    if outputs.need_figures:
        with default_style():
            figures = draw(analysis, result)
            if outputs.plot is not None:
                write_figures(figures, outputs.plot)
            if outputs.report is not None:
                from scbasset_zoo.running.report import write_report

                with naming_plugin(analysis, provenance["plugin"]):
                    description = _describe(analysis, result, provenance["plugin"])
                    browser = genome_browser(stated.tracks, result) if outputs.igv and stated is not None else None
                command = command_of(analysis, json.loads(provenance["options"]), outputs.by_option, len(models))
                cards = [model.card for model in models]
                write_report(outputs.report, analysis, cards, result, figures, provenance, command, description, browser)
    return result


def _spread(analysis: DividedAnalysis, given: Sequence[Any], executor: Executor | None, resume: Path | None) -> Spread:
    """Return what computes the parts of an analysis and joins those of each model."""

    @contextlib.contextmanager
    def computed_and_joined(
        models: Sequence[Model], inputs: Sequence[Any], options: BaseModel, context: Context
    ) -> Iterator[OfModel]:
        work = Work(analysis, given, models, inputs, options, context.provenance)
        context.provenance["spread"] = described(executor, len(work.parts))
        with work.computed(range(len(work.parts)), executor, resume, quiet=context.quiet) as results:
            yield lambda number, context: work.joined(results, number, context)

    return computed_and_joined


def _place_of_parts(out: Path | None) -> Path:
    if out is None:
        raise InputError(f"{option('resume')} needs {option('out')}: finished parts are kept beside that file.")
    return out


@dataclass(frozen=True)
class Outputs:
    """Where a run writes."""

    out: Path | None
    plot: Path | None
    report: Path | None
    bigwig: Path | None
    igv: bool
    overwrite: bool

    @property
    def need_figures(self) -> bool:
        return self.plot is not None or self.report is not None

    @property
    def by_option(self) -> dict[str, Any]:
        """The options of the outputs that are given."""
        paths = {"out": self.out, "plot": self.plot, "report": self.report, "bigwig": self.bigwig}
        return paths | ({"igv": True} if self.igv else {})

    @contextlib.contextmanager
    def held(self, analysis: Analysis, inputs: list[Any]) -> Iterator[None]:
        """Hold the outputs; raise InputError if one cannot be written, or would replace an input or another output."""
        require_separate({name: path for name, path in self.by_option.items() if isinstance(path, Path)})
        self._require_possible(analysis)
        with contextlib.ExitStack() as stack:
            for path in (self.out, self.report):
                if path is not None:
                    stack.enter_context(destination(path, overwrite=self.overwrite, inputs=inputs))
            if self.plot is not None:
                stack.enter_context(figure_folder(self.plot, overwrite=self.overwrite, inputs=inputs))
            if self.bigwig is not None:
                stack.enter_context(destination(self.bigwig, overwrite=self.overwrite, replaceable=tracks_in, inputs=inputs))
            yield

    def _require_possible(self, analysis: Analysis) -> None:
        """Raise InputError if the result cannot be written with this suffix, or figures cannot be drawn."""
        if self.out is not None and self.out.suffix not in analysis.suffixes:
            suffixes = " or ".join(analysis.suffixes)
            raise InputError(f"{self.out}: the result of {analysis.name} is written as {suffixes}. Choose a name that ends so.")
        if self.need_figures:
            require_matplotlib()
        if self.igv and self.report is None:
            raise InputError(f"{option('igv', True)} is a part of the report: give {option('report')}.")


@contextlib.contextmanager
def naming_plugin(analysis: Analysis, plugin: str) -> Iterator[None]:
    """Add the analysis and its plugin to unexpected errors within the block.

    Parameters
    ----------
    analysis : Analysis
    plugin : str
        The distribution of the analysis.

    Raises
    ------
    PluginError
        A module that the analysis needs is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise PluginError(
            f"The analysis {analysis.name} needs {error.name}, which is not installed: {INSTALL_ANALYSES}."
        ) from error
    except (ScbassetZooError, OSError, MemoryError):
        raise
    except Exception as error:
        error.add_note(f"in the analysis {analysis.name} of {plugin}")
        raise


def _compute(
    analysis: Analysis,
    models: Sequence[Model],
    options: BaseModel,
    outputs: Outputs,
    combine: Combine | None,
    spread: Spread | None,
    *,
    quiet: bool,
    provenance: dict[str, str],
) -> tuple[Result, StatedTracks | None]:
    """Open the inputs, run the analysis, add the provenance, and write the result if a file is given; also return its tracks."""
    inputs = [analysis.open_inputs(model, options) for model in models]
    if names := getattr(getattr(inputs[0], "windows", None), "chromosome_names", None):
        provenance["chromosome_names"] = json.dumps(dict(names))
    stated = None
    if outputs.bigwig is not None or outputs.igv:
        stated = StatedTracks(analysis, inputs[0], options, outputs.bigwig, quiet=quiet)

    @contextlib.contextmanager
    def in_this_process(*_: Any) -> Iterator[OfModel]:
        yield lambda number, context: analysis.run(models[number], inputs[number], options, context)

    def compute(context: Context) -> Result:
        with (spread or in_this_process)(models, inputs, options, context) as of_model:
            return of_model(0, context) if combine is None else _combined(of_model, models, inputs[0], combine, context)

    if outputs.out is None:
        return with_provenance(analysis, compute(Context(None, quiet, provenance)), provenance), stated
    with new_file(outputs.out, overwrite=outputs.overwrite) as partial:
        result = compute(Context(partial, quiet, provenance))
        if partial.exists() and partial.suffix in TABLE_SUFFIXES:
            return with_provenance(analysis, result, provenance), stated
        if partial.suffix in TABLE_SUFFIXES:
            raise PluginError(f"The analysis {analysis.name} of {provenance['plugin']} must write {partial.suffix} itself.")
        if not partial.exists():
            result = with_provenance(analysis, result, provenance)
            write_result(result, partial)
            return result, stated
    # The analysis wrote the file itself.
    return _with_names_of(result, read_result(outputs.out)), stated


def _combined(of_model: OfModel, models: Sequence[Model], inputs_of_first: Any, combine: Combine, context: Context) -> Result:
    """Compute the result of one model after the other, and combine the results.

    A result that is too large for memory is written to a temporary file beside the output, and read from there. If the output is
    a table, the results stay in memory.
    """
    with contextlib.ExitStack() as stack:
        results = []
        folder = None
        if context.out is not None and context.out.suffix not in TABLE_SUFFIXES:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".partial-", dir=context.out.parent)))
        for number, model in enumerate(models):
            if not context.quiet:
                say(f"model {number + 1} of {len(models)}: {model.card.id} {model.card.version}")
            out = None if folder is None or context.out is None else folder / f"{number}{context.out.suffix}"
            result = of_model(number, Context(out, context.quiet, context.provenance))
            if out is not None and out.exists():
                result = _with_names_of(result, read_result(out))
                stack.enter_context(contextlib.closing(getattr(result, "file", result)))
            results.append(result)
        if not context.quiet:
            say(f"all {len(models)} models together")
        return combine(results, inputs_of_first, context)


def _with_names_of(result: Result, read: Result) -> Result:
    """Give the columns of a result read from its file the names that they had before: in a file, "donor/id" is "donor_id"."""
    if type(result).__name__ == type(read).__name__ == "AnnData":
        for before, after in ((result.obs, read.obs), (result.var, read.var)):
            if len(before.columns) == len(after.columns):
                after.columns = before.columns
    return read


def draw(analysis: Analysis, result: Result) -> Mapping[str, Figure]:
    """Return the figures of a result by name. Draw in :func:`scbasset_zoo.running.libraries.default_style`."""
    plugin = plugin_manager.distribution_of(type(analysis))
    with naming_plugin(analysis, plugin):
        figures = analysis.plot(result)
    if not isinstance(figures, Mapping):
        raise PluginError(
            f"The analysis {analysis.name} of {plugin}: plot must return figures by name; found {type(figures).__name__}."
        )
    return figures


def _describe(analysis: Analysis, result: Result, plugin: str) -> Description:
    description = analysis.describe(result)
    if not isinstance(description, Description):
        raise PluginError(
            f"The analysis {analysis.name} of {plugin}: describe must return a Description; found {type(description).__name__}."
        )
    return description
