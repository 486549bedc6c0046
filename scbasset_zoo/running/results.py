"""The result of an analysis: its provenance, its file, and how the file is read."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from scbasset_zoo import plugin_manager
from scbasset_zoo.anndata_files import write_anndata_file
from scbasset_zoo.errors import InputError, PluginError, readable
from scbasset_zoo.extend.analysis import SUFFIXES, TABLE_SUFFIXES, Analysis
from scbasset_zoo.hdf5_writing import new_hdf5
from scbasset_zoo.runtime.several_predictions import provenance_of_models
from scbasset_zoo.runtime.storable import storable
from scbasset_zoo.version import __version__

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Result
    from scbasset_zoo.runtime.model import Model


def provenance_of(analysis: Analysis, models: Sequence[Model], options: BaseModel) -> dict[str, str]:
    """Return where a result comes from: analysis, plugin, models, options (as JSON), versions and time."""
    from datetime import UTC, datetime
    from importlib.metadata import version

    return {
        "analysis": analysis.name,
        "plugin": plugin_manager.distribution_of(type(analysis)),
        **provenance_of_models(models),
        "options": json.dumps(options.model_dump(mode="json", fallback=_summary), default=_summary),
        "scbasset_zoo_version": __version__,
        "numpy_version": version("numpy"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def with_provenance(analysis: Analysis, result: Result, provenance: dict[str, str]) -> Result:
    """Add the provenance to a result, and return it.

    Raises
    ------
    PluginError
        The result is not of the type that the suffixes of the analysis stand for.
    """
    kind = type(result).__name__
    if not set(analysis.suffixes) - set(TABLE_SUFFIXES) <= set(SUFFIXES.get(kind, ())):
        suffixes = " or ".join(analysis.suffixes)
        raise PluginError(
            f"The analysis {analysis.name} of {provenance['plugin']} returned {kind}, which cannot be written as {suffixes}."
        )
    if kind == "AnnData":
        result.uns["scbasset_zoo"] = dict(provenance)
    else:
        result.attrs["scbasset_zoo"] = json.dumps(provenance)
    return result


@contextlib.contextmanager
def opened(result: Result | str | os.PathLike[str]) -> Iterator[Result]:
    """Yield a result, or what its file holds; the file is closed afterwards.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    if not isinstance(result, str | os.PathLike):
        yield result
        return
    with readable(str(result)):
        read = read_result(Path(result))
    with contextlib.closing(getattr(read, "file", read)):
        yield read


def provenance_in(result: Result) -> dict[str, str]:
    """Return the provenance that a result carries.

    Raises
    ------
    InputError
        It has none, so it is no result of an analysis.
    """
    recorded = getattr(result, "uns", result.attrs if hasattr(result, "attrs") else {}).get("scbasset_zoo")
    try:
        provenance = json.loads(recorded) if isinstance(recorded, str) else dict(recorded or {})
    except ValueError:
        provenance = {}
    if "analysis" not in provenance:
        raise InputError(
            f"This {type(result).__name__} does not say which analysis made it. Expected a result of sz.run, or its file, with "
            "the provenance in .uns['scbasset_zoo'] or .attrs['scbasset_zoo']."
        )
    return provenance


def write_result(result: Result, path: Path) -> None:
    """Write an AnnData as .h5ad or .zarr, or a Dataset as .nc or .zarr, by the suffix of the path."""
    if type(result).__name__ == "AnnData":
        write_anndata_file(storable(result), path)
    elif path.suffix == ".zarr":
        result.to_zarr(path)
    else:
        with new_hdf5(path) as target:
            result.to_netcdf(target, engine="h5netcdf")


def read_result(path: Path) -> Result:
    """Open a file that :func:`write_result` or an analysis wrote. The values stay on disk.

    Raises
    ------
    InputError
        The file is a table, which is no whole result.
    """
    import anndata as ad
    import zarr

    from scbasset_zoo.inputs.outside_links import check_no_outside_links

    if path.suffix in TABLE_SUFFIXES:
        raise InputError(f"{path} is a table, without what figures and reports need. Read it with pandas.")
    check_no_outside_links(path)
    if path.suffix == ".h5ad":
        return ad.read_h5ad(path, backed="r")
    if path.suffix == ".zarr" and "encoding-type" in (group := zarr.open_group(path, mode="r")).attrs:
        parts = {name: ad.io.read_elem(group[name]) for name in ("obs", "var", "uns", "obsm", "varm", "obsp", "varp")}
        return ad.AnnData(X=group.get("X"), **parts)
    import xarray as xr

    return xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path, engine="h5netcdf")


def _summary(value: Any) -> str:
    """Describe an option that is an object in memory, such as "AnnData 400x4000"."""
    return f"{type(value).__name__} {'x'.join(map(str, value.shape))}" if hasattr(value, "shape") else repr(value)[:200]
