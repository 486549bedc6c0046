"""Runs a registered analysis: options checked, result written, figures and report made."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.analyses.results import provenance_of, read_result, with_provenance, write_result
from scbasset_zoo.errors import InputError, PluginError, ScbassetZooError
from scbasset_zoo.extend.analysis import Analysis, Context
from scbasset_zoo.files import check_destination, new_file, new_folder
from scbasset_zoo.options import checked_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo.extend.analysis import Result
    from scbasset_zoo.runtime.devices import DeviceName
    from scbasset_zoo.runtime.model import Model


INSTALL_ANALYSES = "what our own analyses need comes with pip install 'scbasset-zoo[analyses]'"


FIGURE_SUFFIXES = (".png", ".pdf")


def run(
    name: str,
    model: Model | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    device: DeviceName = "auto",
    overwrite: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Result:
    """Run a registered analysis.

    Parameters
    ----------
    name : str
        `scbasset-zoo run --help` and ``scbasset_zoo.plugin_manager.analyses()`` list them.
    model : Model, or a name, folder or URL as :func:`scbasset_zoo.open_model` takes
    out : path, optional
        Also write the result: .h5ad or .zarr for an AnnData, .nc or .zarr for a Dataset.
    plot : path, optional
        Folder for the figures, as PNG and PDF.
    report : path, optional
        One HTML page with options, tables and figures.
    device : "auto", "cpu" or "cuda"
        Where a model that is not open yet runs.
    overwrite : bool
        Replace `out`, `plot` and `report` if they exist.
    quiet : bool
        Show no progress.
    **options
        The analysis's own, see its `Options`.

    Returns
    -------
    AnnData or xarray.Dataset
        With provenance in ``.uns["scbasset_zoo"]`` or ``.attrs["scbasset_zoo"]`` (as JSON).

    Raises
    ------
    InputError
        No such analysis, options that it cannot use, or a destination that cannot be written; before any work.
    """
    from scbasset_zoo.plugin_manager import analyses

    known = analyses()
    if name not in known:
        raise InputError(f"There is no analysis {name!r}; installed are {', '.join(sorted(known))}.")
    analysis = known[name]()
    asked = checked_options(name, analysis.Options, options)
    _require_apart(out=out, plot=plot, report=report)
    inputs = [model, *options.values()]
    for path in (out, report):
        if path is not None:
            check_destination(path, overwrite=overwrite, inputs=inputs)
    if plot is not None:
        check_destination(plot, overwrite=overwrite, replaceable=_holds_figures, inputs=inputs)
    if out is not None and Path(out).suffix not in analysis.suffixes:
        raise InputError(f"{out}: the result of {name} is written as {' or '.join(analysis.suffixes)}; name the file so.")
    if (plot is not None or report is not None) and find_spec("matplotlib") is None:
        raise InputError(f"Figures need matplotlib: {INSTALL_ANALYSES}.")
    opened = _open(model, device)
    provenance = provenance_of(analysis, opened, asked)
    with naming_plugin(analysis, provenance["plugin"]):
        opened_inputs = analysis.open_inputs(opened, asked)
        if out is None:
            result = with_provenance(
                analysis, analysis.run(opened, opened_inputs, asked, Context(None, quiet, provenance)), provenance
            )
        else:
            result = _run_to_file(analysis, opened, opened_inputs, asked, Path(out), overwrite, quiet, provenance)
        figures = {} if plot is None and report is None else analysis.plot(result)
        if not isinstance(figures, Mapping):
            raise PluginError(
                f"The analysis {name} of {provenance['plugin']}: plot must return figures by name; found {type(figures).__name__}."
            )
    if plot is not None:
        _save_figures(figures, Path(plot), overwrite)
    if report is not None:
        from scbasset_zoo.analyses.report import write_report

        write_report(report, analysis, opened.card, result, figures, provenance)
    return result


def _require_apart(**places: str | os.PathLike[str] | None) -> None:
    """Refuse destinations of which one is, or lies in, another, since it would replace it."""
    given = {name: Path(path).resolve() for name, path in places.items() if path is not None}
    for name, path in given.items():
        for other, there in given.items():
            if name != other and there in (path, *path.parents):
                raise InputError(f"{name}={path} is or lies in {other}={there}, which would replace it: choose places apart.")


@contextlib.contextmanager
def naming_plugin(analysis: Analysis, plugin: str) -> Iterator[None]:
    """Name the plugin in what its analysis raises but was not meant for the user, and the modules that it lacks."""
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


def _open(model: Model | str | os.PathLike[str], device: DeviceName) -> Model:
    if isinstance(model, str | os.PathLike):
        from scbasset_zoo.zoo.models import open_model

        return open_model(model, device)
    return model


def _run_to_file(
    analysis: Analysis, model: Model, inputs: Any, options: Any, out: Path, overwrite: bool, quiet: bool, provenance: dict[str, str]
) -> Result:
    with new_file(out, overwrite=overwrite) as partial:
        result = analysis.run(model, inputs, options, Context(partial, quiet, provenance))
        if not partial.exists():
            result = with_provenance(analysis, result, provenance)
            write_result(result, partial)
            return result
    return read_result(out)


def _holds_figures(folder: Path) -> bool:
    return all(file.suffix in FIGURE_SUFFIXES for file in folder.iterdir())


def _save_figures(figures: Mapping[str, Figure], folder: Path, overwrite: bool) -> None:
    with new_folder(folder, overwrite=overwrite) as partial:
        for name, figure in figures.items():
            for suffix in FIGURE_SUFFIXES:
                figure.savefig(partial / f"{name}{suffix}", dpi=150, bbox_inches="tight")
