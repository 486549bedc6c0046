"""Names the batches of a batch-corrected model: model.onnx numbers them, and a column of the cells has their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def batch_names(cells: pd.DataFrame, column: str, by_cell: NDArray[Any]) -> list[str | None]:
    """Return the name of each batch of a model.

    Parameters
    ----------
    cells : DataFrame of n_cells rows
        The cells of the model.
    column : str
        The column that names the batch of each cell: `batch_correction.column` of the card.
    by_cell : array of shape (n_batches, n_cells)
        1 where the cell belongs to the batch, else 0: `by_cell` of :class:`scbasset_zoo.graph.head.BatchPath`.

    Returns
    -------
    list of n_batches texts
        None for a batch without a name of its own: no cell is of this batch alone, or its cells have several names, or another
        batch has the same name.
    """
    if column not in cells:
        return [None] * len(by_cell)
    values = cells[column]
    is_known = (np.count_nonzero(by_cell, axis=0) == 1) & values.notna().to_numpy()
    named = values[is_known].astype(str).groupby(by_cell[:, is_known].argmax(axis=0)).unique()
    names = [str(named[batch][0]) if batch in named.index and len(named[batch]) == 1 else None for batch in range(len(by_cell))]
    return [name if names.count(name) == 1 else None for name in names]
