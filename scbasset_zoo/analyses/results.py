"""The result of an analysis: its provenance, its file, and reading it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from scbasset_zoo.errors import PluginError
from scbasset_zoo.extend.analysis import SUFFIXES, Analysis
from scbasset_zoo.version import __version__

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Result
    from scbasset_zoo.runtime.model import Model


def with_provenance(analysis: Analysis, result: Result, provenance: dict[str, str]) -> Result:
    kind = type(result).__name__
    if not set(analysis.suffixes) <= set(SUFFIXES.get(kind, ())):
        written = " or ".join(analysis.suffixes)
        raise PluginError(f"The analysis {analysis.name} of {provenance['plugin']} returned {kind}, which no {written} can hold.")
    if kind == "AnnData":
        result.uns["scbasset_zoo"] = dict(provenance)
    else:
        result.attrs["scbasset_zoo"] = json.dumps(provenance)
    return result


def write_result(result: Result, path: Path) -> None:
    if type(result).__name__ == "AnnData":
        (result.write_zarr if path.suffix == ".zarr" else result.write_h5ad)(path)
    elif path.suffix == ".zarr":
        result.to_zarr(path)
    else:
        result.to_netcdf(path, engine="h5netcdf")


def read_result(path: Path) -> Result:
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


def provenance_of(analysis: Analysis, model: Model, options: BaseModel) -> dict[str, str]:
    from datetime import UTC, datetime
    from importlib.metadata import version

    from scbasset_zoo.plugin_manager import distribution_of

    return {
        "analysis": analysis.name,
        "plugin": distribution_of(type(analysis)),
        "model_id": model.card.id,
        "model_version": model.card.version,
        "card_sha256": model.card_sha256,
        "assembly": model.card.genome.assembly,
        "options": json.dumps(options.model_dump(mode="json", fallback=_short), default=_short),
        "scbasset_zoo_version": __version__,
        "numpy_version": version("numpy"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _short(value: Any) -> str:
    """An option that is an object in memory, in a few words."""
    return f"{type(value).__name__} {'x'.join(map(str, value.shape))}" if hasattr(value, "shape") else repr(value)[:200]
