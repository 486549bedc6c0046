"""Results of several models: the mean and the standard deviation of what an analysis computed with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.runtime.output import write_anndata
from scbasset_zoo.runtime.predictions import BLOCK_CELLS, STD, Block
from scbasset_zoo.runtime.several_predictions import mean_and_std
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.extend.analysis import Context

__all__ = ["STD", "combine_anndata", "combine_tables", "mean_and_std"]


def combine_anndata(results: Sequence[ad.AnnData], inputs: Any, context: Context) -> ad.AnnData:
    """Combine the results of several models: cell by cell or group by group, and column by column.

    X becomes the mean over models, and ``.layers["std"]`` is their standard deviation. Of a layer "score" it is the layer
    "score_std". Columns of `.obs`, `.var` and of the tables in `.uns` are combined by :func:`combine_tables`. Other elements are
    kept if all models have the same, so nothing in a latent space is.

    Parameters
    ----------
    results : sequence of AnnData
        The result of each model. Their rows and columns are the same, in the same order. Values may be in a file.
    inputs : object
        Not used.
    context : Context
        If the values are in files, the combined result is written to its `out`, in blocks.
    """
    import anndata as ad

    first = results[0]
    tables: dict[str, Any] = {}
    for name, value in first.uns.items():
        if isinstance(value, pd.DataFrame):
            mean, std = combine_tables([result.uns[name] for result in results])
            tables |= {name: mean} if std.empty else {name: mean, f"{name}_{STD}": std}
        elif all(_equal(result.uns.get(name), value) for result in results):
            tables[name] = value
    combined = ad.AnnData(
        obs=_with_std_columns([result.obs for result in results]),
        var=_with_std_columns([result.var for result in results]),
        uns=tables,
        **{name: _shared(results, name) for name in ("obsm", "varm", "obsp", "varp")},
    )
    if first.X is None:
        return combined
    for name in first.layers:
        combined.layers[name], combined.layers[f"{name}_{STD}"] = mean_and_std([np.asarray(r.layers[name]) for r in results])
    if not isinstance(first.X, np.ndarray) and context.out is not None:
        combined.uns["scbasset_zoo"] = dict(context.provenance)
        write_anndata(combined, _blocks(results), context.out)
        return combined
    require_memory(2 * 4 * first.n_obs * first.n_vars, "The result", f"Give {option('out')}, a file that ends in .h5ad.")
    combined.X, combined.layers[STD] = np.empty(first.shape, np.float32), np.empty(first.shape, np.float32)
    for block in _blocks(results):
        combined.X[block.rows], combined.layers[STD][block.rows] = block.values, block.std
    return combined


def combine_tables(tables: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Combine tables with the same rows, by their index, in the order of the first.

    Parameters
    ----------
    tables : sequence of DataFrame

    Returns
    -------
    DataFrame
        Columns that are equal in all tables as they are, and the means of columns of floats that differ. Other columns that
        differ are left out, and so are rows that a table lacks.
    DataFrame
        The standard deviations of the columns of floats that differ.
    """
    first = tables[0]
    if first.index.is_unique and all(table.index.is_unique for table in tables):
        rows = first.index[np.logical_and.reduce([first.index.isin(table.index) for table in tables])]
        tables = [table.loc[rows] for table in tables]
    elif not all(table.index.equals(first.index) for table in tables):
        return first.iloc[:0], first.iloc[:0, :0]
    mean, std = pd.DataFrame(index=tables[0].index), pd.DataFrame(index=tables[0].index)
    for name, column in tables[0].items():
        others = [table[name] for table in tables[1:] if name in table]
        if len(others) == len(tables) - 1 and all(column.equals(other) for other in others):
            mean[name] = column
        elif len(others) == len(tables) - 1 and all(values.dtype.kind == "f" for values in (column, *others)):
            values = np.stack([values.to_numpy(np.float64) for values in (column, *others)])
            mean[name], std[name] = values.mean(axis=0), values.std(axis=0, ddof=1)
    return mean, std


def _with_std_columns(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Combine tables into one; the standard deviation of a column has the name of the column with "_std"."""
    mean, std = combine_tables(tables)
    return mean.join(std.add_suffix(f"_{STD}"))


def _blocks(results: Sequence[ad.AnnData]) -> Iterator[Block]:
    """Yield the mean and the standard deviation over models, in blocks of rows."""
    n_rows, n_columns = results[0].shape
    step = max(1, min(BLOCK_CELLS, 2**22 // max(1, n_columns)))
    for start in range(0, n_rows, step):
        rows = slice(start, min(start + step, n_rows))
        yield Block(rows, slice(0, n_columns), *mean_and_std([np.asarray(result.X[rows]) for result in results]))


def _shared(results: Sequence[ad.AnnData], name: str) -> dict[str, Any]:
    """Return the elements of a mapping of AnnData, such as "obsm", that all results have and that are equal."""
    first = getattr(results[0], name)
    return {key: value for key, value in first.items() if all(_equal(getattr(r, name).get(key), value) for r in results[1:])}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    return type(one) is type(other) and bool(np.all(one == other)) if np.shape(one) == np.shape(other) else False
