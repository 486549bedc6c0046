"""The batch of each cell, for the batch-corrected variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.training.prepared_tables import COUNTS_OF_CELLS
from scbasset_zoo.wording import option


@dataclass(frozen=True)
class Batches:
    """The batches of a model.

    Attributes
    ----------
    names : list of str
    batch_of_cell : integer array of shape (n_cells,)
        Position of each cell's batch in `names`.
    """

    names: list[str]
    batch_of_cell: NDArray[np.intp]


def read_batches(cells: pd.DataFrame, batch_key: str | None, where: Any) -> Batches | None:
    """Read the batch of each cell from a column; return None without `batch_key`.

    Parameters
    ----------
    cells : DataFrame
        A row for each cell.
    batch_key : str or None
        The column.
    where : path
        Where the cells come from, for messages.

    Raises
    ------
    InputError
        The column is missing, a cell has no batch, all cells are of one batch, or half of the cells have a batch of their own.
    """
    if batch_key is None:
        return None
    given = option("batch_key", batch_key)
    if batch_key not in cells.columns:
        raise InputError(f"{given}: the cells of {where} have no such column. They have: {', '.join(map(str, cells.columns))}.")
    if batch_key in COUNTS_OF_CELLS:
        raise InputError(
            f"{given}: in {where}, this is the number of open peaks of each cell, which prepare counts. If the matrix had a column "
            f"of this name, it is called {'obs_' + batch_key!r} in {where}."
        )
    column = cells[batch_key]
    column = column.mask(column.astype(str).str.strip() == "")  # AnnData files hold missing text as ""
    if (missing := column.isna()).any():
        raise InputError(
            f"{given}: {int(missing.sum())} cells have no batch, the first is {cells.index[missing][0]!r} "
            f"(row {int(np.flatnonzero(missing)[0])}). Fill the column in the matrix and prepare again."
        )
    batch_of_cell, names = pd.factorize(column.astype(str), sort=True)
    if len(names) < 2:
        raise InputError(
            f"{given}: all cells are of one batch, {names[0]!r}; batch correction needs at least two. Train without "
            f"{option('batch_key')}."
        )
    if len(names) > len(cells) / 2:
        raise InputError(
            f"{given}: the column has {len(names):,} values for {len(cells):,} cells, such as {names[0]!r}; it does not name "
            "batches."
        )
    return Batches([str(name) for name in names], batch_of_cell)
