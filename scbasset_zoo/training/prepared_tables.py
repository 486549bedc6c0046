"""The tables of cells and peaks of a prepared peak set, in a form that Parquet can hold."""

from __future__ import annotations

from typing import Any

import pandas as pd
from numpy.typing import NDArray


def cells_table(cells: pd.DataFrame, **columns: NDArray[Any]) -> pd.DataFrame:
    """Return the kept cells, indexed by barcode, with further columns at the end."""
    return _storable(cells.rename_axis("barcode"), {"barcode", *columns}, "obs").assign(**columns)


def peaks_table(peaks: pd.DataFrame, split_column: str | None, **columns: NDArray[Any]) -> pd.DataFrame:
    """Return the kept peaks: name and interval, further columns, then the input's other columns."""
    own = peaks[["name", "chrom", "start", "end"]].reset_index(drop=True).assign(**columns)
    others = peaks.drop(columns=["name", "chrom", "start", "end"]).reset_index(drop=True)
    # A column "split" that gave the split is not stored twice.
    if split_column == "split":
        others = others.drop(columns="split")
    return pd.concat([own, _storable(others, set(columns), "var")], axis=1)


def _storable(table: pd.DataFrame, taken: set[str], prefix: str) -> pd.DataFrame:
    """Prefix column names that are taken, and turn values that Parquet cannot hold into text."""
    names = [f"{prefix}_{name}" if str(name) in taken else str(name) for name in table.columns]
    table = table.set_axis(names, axis=1)
    for name in table.select_dtypes("category").columns:
        if pd.api.types.infer_dtype(table[name].cat.categories) not in ("string", "boolean", "integer", "floating", "empty"):
            table[name] = table[name].map(str, na_action="ignore")
    for name in table.select_dtypes(complex).columns:
        table[name] = table[name].map(str)
    for name in table.select_dtypes(object).columns:
        if pd.api.types.infer_dtype(table[name], skipna=True) not in ("string", "boolean", "empty"):
            table[name] = table[name].map(str, na_action="ignore")
    return table
