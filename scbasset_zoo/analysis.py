"""What an analysis is, and how one is run: options checked before any work, a result that says where it came from."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict

from scbasset_zoo.errors import InputError, PluginError, ScbassetZooError
from scbasset_zoo.files import check_destination, new_file, new_folder
from scbasset_zoo.progress import progress

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from scbasset_zoo.runtime.devices import DeviceName
    from scbasset_zoo.runtime.model import Model

    Result: TypeAlias = ad.AnnData | xr.Dataset

_ANALYSES = "what our own analyses need comes with pip install 'scbasset-zoo[analyses]'"
FIGURE_SUFFIXES = (".png", ".pdf")
SUFFIXES = {"AnnData": (".h5ad", ".zarr"), "Dataset": (".nc", ".zarr")}


class Options(BaseModel):
    """Base of an analysis's options; give each field a type, a default and a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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

    def check(self, model: Model, options: Any) -> None:  # noqa: B027  nothing to check is a fair default
        """Raise InputError if this cannot be done with this model and these options.

        Called once, before `run`, on the object on which `run` is called then: what was read may be kept for it.
        """

    @abstractmethod
    def run(self, model: Model, options: Any, context: Context) -> Result:
        """Do it.

        Parameters
        ----------
        model : Model
        options : an instance of `Options`
        context : Context

        Returns
        -------
        AnnData of cells (or groups) x something, or xarray.Dataset where more than two dimensions are needed
        """

    def plot(self, result: Result) -> Mapping[str, Figure]:
        """Figures of a result, as returned or as read from its file, by file name without suffix; none unless overridden."""
        return {}

    def tables(self, result: Result) -> Mapping[str, pd.DataFrame]:
        """Tables of a result for its report, by name; the DataFrames in ``.uns`` unless overridden."""
        import pandas as pd

        return {name: value for name, value in getattr(result, "uns", {}).items() if isinstance(value, pd.DataFrame)}


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
        raise InputError(f"Figures need matplotlib: {_ANALYSES}.")
    opened = _opened(model, device)
    provenance = _provenance(analysis, opened, asked)
    with _blamed(analysis, provenance["plugin"]):
        analysis.check(opened, asked)
        if out is None:
            result = _labelled(analysis, analysis.run(opened, asked, Context(None, quiet, provenance)), provenance)
        else:
            result = _run_to_file(analysis, opened, asked, Path(out), overwrite, quiet, provenance)
        figures = {} if plot is None and report is None else analysis.plot(result)
        if not isinstance(figures, Mapping):
            raise PluginError(
                f"The analysis {name} of {provenance['plugin']}: plot must return figures by name; found {type(figures).__name__}."
            )
    if plot is not None:
        _save_figures(figures, Path(plot), overwrite)
    if report is not None:
        from scbasset_zoo.report import write_report

        write_report(report, analysis, opened.card, result, figures, provenance)
    return result


def described(kind: type) -> list[str]:
    """Paragraphs of a class's docstring up to numpydoc's sections, without the marks of reStructuredText."""
    paragraphs = takewhile(lambda paragraph: "\n---" not in paragraph, (inspect.getdoc(kind) or "").split("\n\n"))
    return [" ".join(paragraph.replace("`", "").split()) for paragraph in paragraphs]


def checked_options(name: str, model: type[BaseModel], given: Mapping[str, Any]) -> Any:
    """An instance of `model` from what was given.

    Raises
    ------
    InputError
        Every unknown, missing or unusable option, in one message.
    """
    from pydantic import ValidationError

    try:
        return model(**given)
    except ValidationError as error:
        raise InputError("\n  ".join([f"Options of {name}:", *map(_problem, error.errors())])) from None


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{where} must be given"
    if error["type"] == "extra_forbidden":
        return f"{where} is not an option"
    message = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    return f"{where}: {message}; found {error['input']!r}" if where else message


def _require_apart(**places: str | os.PathLike[str] | None) -> None:
    """Refuse destinations of which one is, or lies in, another, since it would replace it."""
    given = {name: Path(path).resolve() for name, path in places.items() if path is not None}
    for name, path in given.items():
        for other, there in given.items():
            if name != other and there in (path, *path.parents):
                raise InputError(f"{name}={path} is or lies in {other}={there}, which would replace it: choose places apart.")


@contextlib.contextmanager
def _blamed(analysis: Analysis, plugin: str) -> Iterator[None]:
    """Name the plugin in what its analysis raises but was not meant for the user, and the modules that it lacks."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise PluginError(f"The analysis {analysis.name} needs {error.name}, which is not installed: {_ANALYSES}.") from error
    except (ScbassetZooError, OSError, MemoryError):
        raise
    except Exception as error:
        error.add_note(f"in the analysis {analysis.name} of {plugin}")
        raise


def _opened(model: Model | str | os.PathLike[str], device: DeviceName) -> Model:
    if isinstance(model, str | os.PathLike):
        from scbasset_zoo.zoo import open_model

        return open_model(model, device)
    return model


def _run_to_file(
    analysis: Analysis, model: Model, options: Any, out: Path, overwrite: bool, quiet: bool, provenance: dict[str, str]
) -> Result:
    with new_file(out, overwrite=overwrite) as partial:
        result = analysis.run(model, options, Context(partial, quiet, provenance))
        if not partial.exists():
            result = _labelled(analysis, result, provenance)
            _write(result, partial)
            return result
    return _read_back(out)


def _labelled(analysis: Analysis, result: Result, provenance: dict[str, str]) -> Result:
    kind = type(result).__name__
    if not set(analysis.suffixes) <= set(SUFFIXES.get(kind, ())):
        written = " or ".join(analysis.suffixes)
        raise PluginError(f"The analysis {analysis.name} of {provenance['plugin']} returned {kind}, which no {written} can hold.")
    if kind == "AnnData":
        result.uns["scbasset_zoo"] = dict(provenance)
    else:
        result.attrs["scbasset_zoo"] = json.dumps(provenance)
    return result


def _write(result: Result, path: Path) -> None:
    if type(result).__name__ == "AnnData":
        (result.write_zarr if path.suffix == ".zarr" else result.write_h5ad)(path)
    elif path.suffix == ".zarr":
        result.to_zarr(path)
    else:
        result.to_netcdf(path, engine="h5netcdf")


def _read_back(path: Path) -> Result:
    """A result that its analysis wrote, with the values left on disk."""
    import anndata as ad
    import zarr

    if path.suffix == ".h5ad":
        return ad.read_h5ad(path, backed="r")
    if path.suffix == ".zarr" and "encoding-type" in (group := zarr.open_group(path, mode="r")).attrs:
        parts = {name: ad.io.read_elem(group[name]) for name in ("obs", "var", "uns", "obsm", "varm", "obsp", "varp")}
        return ad.AnnData(X=group.get("X"), **parts)
    import xarray as xr

    return xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path, engine="h5netcdf")


def _provenance(analysis: Analysis, model: Model, options: BaseModel) -> dict[str, str]:
    from datetime import UTC, datetime
    from importlib.metadata import version

    import scbasset_zoo
    from scbasset_zoo.plugin_manager import distribution_of

    return {
        "analysis": analysis.name,
        "plugin": distribution_of(type(analysis)),
        "model_id": model.card.id,
        "model_version": model.card.version,
        "card_sha256": model.card_sha256,
        "assembly": model.card.genome.assembly,
        "options": json.dumps(options.model_dump(mode="json", fallback=_short), default=_short),
        "scbasset_zoo_version": scbasset_zoo.__version__,
        "numpy_version": version("numpy"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _short(value: Any) -> str:
    """An option that is an object in memory, in a few words."""
    return f"{type(value).__name__} {'x'.join(map(str, value.shape))}" if hasattr(value, "shape") else repr(value)[:200]


def _holds_figures(folder: Path) -> bool:
    return all(file.suffix in FIGURE_SUFFIXES for file in folder.iterdir())


def _save_figures(figures: Mapping[str, Figure], folder: Path, overwrite: bool) -> None:
    with new_folder(folder, overwrite=overwrite) as partial:
        for name, figure in figures.items():
            for suffix in FIGURE_SUFFIXES:
                figure.savefig(partial / f"{name}{suffix}", dpi=150, bbox_inches="tight")
