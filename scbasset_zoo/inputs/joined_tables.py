"""Put tables beside or below each other: what a table lacks becomes a missing value, and values keep their types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def rows_of(table: pd.DataFrame, rows: NDArray[np.intp], index: pd.Index) -> pd.DataFrame:
    """Return rows of a table under another index.

    Parameters
    ----------
    table : DataFrame
        Names of its columns are distinct.
    rows : int array (n,)
        Positions in the table; -1 for a row of missing values.
    index : Index (n,)
        The index of the result.

    Returns
    -------
    DataFrame
        With the columns of `table`. Whole numbers and booleans with missing values have pandas' types for these, such as Int64.
    """
    has_missing = bool((rows < 0).any())
    columns = []
    for position in range(table.shape[1]):
        values = table.iloc[:, position]
        if has_missing and isinstance(values.dtype, np.dtype) and values.dtype.kind in "biu":
            values = values.astype(pd.array(values.to_numpy()[:0]).dtype)
        columns.append(pd.Series(values.array.take(rows, allow_fill=True), index=index))
    return _beside(columns, list(table.columns), index)


def stacked(tables: Sequence[pd.DataFrame], index: pd.Index) -> pd.DataFrame:
    """Return tables below each other, with the columns of all of them, in order of appearance.

    Parameters
    ----------
    tables : sequence of DataFrame
        Names of the columns of each are distinct.
    index : Index
        The index of the result.

    Returns
    -------
    DataFrame
        Categories of texts have the categories of all tables. Other columns of different types have the type that pandas finds for
        both, or hold objects.
    """
    names: dict[Any, None] = {name: None for table in tables for name in table.columns}
    columns = []
    for name in names:
        parts = [_column(table, name) for table in tables]
        columns.append(_one_below_another(parts).set_axis(index))
    return _beside(columns, list(names), index)


def _column(table: pd.DataFrame, name: Any) -> pd.Series | int:
    """Return a column of a table, or the number of its rows if it lacks the column."""
    positions = [position for position, other in enumerate(table.columns) if other is name or other == name]
    return table.iloc[:, positions[0]] if positions else len(table)


def _one_below_another(parts: Sequence[pd.Series | int]) -> pd.Series:
    present = [part for part in parts if isinstance(part, pd.Series)]
    if all(isinstance(part.dtype, pd.CategoricalDtype) and part.dtype.categories.dtype == object for part in present):
        categories = list(dict.fromkeys(category for part in present for category in part.cat.categories))
        ordered = len({tuple(part.cat.categories) for part in present}) == 1 and all(part.cat.ordered for part in present)
        dtype = pd.CategoricalDtype(categories, ordered=ordered)
        filled = [
            pd.Series([None] * part, dtype=dtype) if isinstance(part, int) else part.cat.set_categories(categories, ordered=ordered)
            for part in parts
        ]
        return pd.concat(filled, ignore_index=True)
    rows = np.concatenate(
        [np.full(part, -1) if isinstance(part, int) else np.arange(len(part)) + before for part, before in _with_offsets(parts)]
    )
    whole = pd.concat(present, ignore_index=True)
    return rows_of(whole.to_frame(), rows, pd.RangeIndex(len(rows))).iloc[:, 0]


def _with_offsets(parts: Sequence[pd.Series | int]) -> list[tuple[pd.Series | int, int]]:
    before, offsets = 0, []
    for part in parts:
        offsets.append((part, before))
        before += 0 if isinstance(part, int) else len(part)
    return offsets


def _beside(columns: list[pd.Series], names: list[Any], index: pd.Index) -> pd.DataFrame:
    # Names may be of any type, also tuples, which pandas would take for levels.
    table = pd.concat(columns, axis=1, keys=range(len(columns))) if columns else pd.DataFrame(index=index)
    table.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    return table
