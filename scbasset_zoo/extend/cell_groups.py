"""Columns of a model's cells, and the groups of cells that share a value in a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import did_you_mean
from scbasset_zoo.wording import option as wording_of

if TYPE_CHECKING:
    from scbasset_zoo.runtime.model import Model


class CellGroups:
    """The cells of a model, grouped by a column.

    Parameters
    ----------
    model : Model
    column : str
        A column of ``model.cells``.
    option : str
        The option that named the column, for error messages.

    Attributes
    ----------
    column : str
    names : list of str
        The groups, sorted.
    codes : int array (n_cells,)
        The group of each cell, as a position in `names`.

    Raises
    ------
    InputError
        There is no such column, some cells have no value in it, or all cells have the same value.
    """

    def __init__(self, model: Model, column: str, option: str = "group_by") -> None:
        self.column = column
        self.codes, values = pd.factorize(_complete_column(model, column, option), sort=True)
        self.names = [str(value) for value in values]

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Number of cells in each group, (n_groups,)."""
        return np.bincount(self.codes, minlength=len(self.names))

    def means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average the rows of an array over each group: (n_cells, k) to (n_groups, k)."""
        members = sparse.csr_matrix(
            (1 / self.sizes[self.codes], (self.codes, np.arange(len(self.codes)))), shape=(len(self.names), len(self.codes))
        )
        means: NDArray[np.float32] = (members @ values.astype(np.float64)).astype(np.float32)
        return means


def labels_of(model: Model, column: str, option: str = "group_by") -> NDArray[np.object_]:
    """Return the values of a column of the cells as strings, to compare cells with.

    Parameters
    ----------
    model : Model
    column : str
        A column of ``model.cells``.
    option : str
        The option that named the column, for error messages.

    Returns
    -------
    object array (n_cells,)

    Raises
    ------
    InputError
        There is no such column, some cells have no value in it, all cells have the same value, or no two cells share a value.
    """
    values = _complete_column(model, column, option)
    if values.nunique() == len(values):
        raise InputError(
            f"{wording_of(option)}: each of the {len(values):,} cells has its own {column}, such as {str(values.iloc[0])!r}. "
            "Choose a column whose values are shared by cells."
        )
    return values.astype(str).to_numpy(dtype=object)


def column_of(model: Model, column: str, option: str) -> pd.Series:
    """Return a column of ``model.cells``; raise InputError with the names of the columns if there is no such column."""
    if column not in model.cells:
        columns = ", ".join(map(str, model.cells.columns)) or "none"
        raise InputError(
            f"{wording_of(option)}: the cells of {model.card.id} have no column {column!r}; they have {columns}."
            f"{did_you_mean(column, map(str, model.cells.columns))}"
        )
    return model.cells[column]


def _complete_column(model: Model, column: str, option: str) -> pd.Series:
    """Return a column in which every cell has a value, and at least two values differ."""
    values = column_of(model, column, option)
    missing = values.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"{wording_of(option)}: {missing.sum():,} of {len(values):,} cells have no {column}, such as "
            f"{values.index[missing][0]!r} (row {int(missing.argmax()) + 1:,}). Choose another column, or fill it in the model's "
            "table of cells."
        )
    if values.nunique() < 2:
        raise InputError(
            f"{wording_of(option)}: all {len(values):,} cells have the {column} {str(values.iloc[0])!r}; "
            "expected two or more values."
        )
    return values
