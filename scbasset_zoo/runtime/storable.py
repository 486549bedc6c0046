"""Gives an AnnData the form that .h5ad and .zarr can hold: the names of columns and keys, and the types of columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scbasset_zoo.progress import say

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd

# Names that anndata or zarr keep for themselves.
_RESERVED = frozenset({"", ".", "..", "_index", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
# In .zarr, a name is also the name of a folder, which has at most 255 bytes.
_MAX_BYTES = 200


def storable(data: ad.AnnData) -> ad.AnnData:
    """Return an AnnData with the same values, which .h5ad and .zarr can hold. X and layers are not copied.

    A line says which names change: names in a file have no "/", for example.

    Raises
    ------
    InputError
        A column has values that have no text, see :func:`scbasset_zoo.inputs.normal_columns.normal_column`.
    """
    import anndata as ad

    parts = {name: _mapping(getattr(data, name), f".{name}") for name in ("uns", "obsm", "varm", "obsp", "varp", "layers")}
    stored = ad.AnnData(data.X, obs=_table(data.obs, ".obs"), var=_table(data.var, ".var"), **parts)
    stored.strings_to_categoricals()
    return stored


def storable_name(name: Any) -> str:
    """Return a name without slashes, of at most 200 bytes, that neither anndata nor zarr keep for themselves."""
    text = re.sub(r"[/\\\0]", "_", str(name)).encode(errors="replace")[:_MAX_BYTES].decode(errors="ignore")
    return f"{text}_" if text in _RESERVED else text


def _mapping(elements: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Return a mapping with names that can be stored, at all its levels."""
    import pandas as pd

    stored: dict[str, Any] = {}
    for name, (old, value) in zip(_names(elements, where), elements.items(), strict=True):
        if isinstance(value, pd.DataFrame):
            value = _table(value, f"{where}[{old!r}]")
        elif isinstance(value, Mapping):
            value = _mapping(value, f"{where}[{old!r}]")
        stored[name] = value
    return stored


def _table(table: pd.DataFrame, where: str) -> pd.DataFrame:
    import pandas as pd

    from scbasset_zoo.inputs.normal_columns import normal_values

    stored = normal_values(table, where)
    stored.columns = pd.Index(_names(table.columns, where), dtype=object)
    # In a column of texts, anndata takes a missing value for the text "None", or refuses it; scanpy cannot colour by booleans of
    # which some are missing. Categories may have missing values everywhere.
    for name, column in stored.items():
        if column.isna().any() and (column.dtype == object or isinstance(column.dtype, pd.BooleanDtype)):
            values = sorted(column.dropna().unique())
            kind = bool if isinstance(column.dtype, pd.BooleanDtype) else object
            stored[name] = pd.Categorical(column, categories=pd.Index(values, dtype=kind))
    name = stored.index.name
    return stored.rename_axis(index=None if name is None or name in stored.columns else storable_name(name))


def _names(names: Any, where: str) -> list[str]:
    from scbasset_zoo.inputs.column_names import distinct_names

    names = list(names)
    stored = distinct_names(names, (), "other_", storable_name)
    changed = [(old, new) for old, new in zip(names, stored, strict=True) if new != str(old)]
    if changed:
        old, new = changed[0]
        others = f", and {len(changed) - 1:,} others are renamed in the same way" if len(changed) > 1 else ""
        say(f"{where}: {old!r} is called {new!r} in the file, because names in .h5ad and .zarr cannot be like that{others}.")
    return stored
