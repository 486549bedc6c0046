"""Columns of a model's cells that must say something of every cell, and the groups that their values make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError

if TYPE_CHECKING:
    from scbasset_zoo.runtime.model import Model


class CellGroups:
    """The cells of a model by the values of a column.

    Parameters
    ----------
    model : Model
    column : str
    option : str
        Who asks, for messages.

    Attributes
    ----------
    names : list of str
        The groups, sorted.
    codes : int array (n_cells,)
        The group of each cell.

    Raises
    ------
    InputError
        No such column, cells without a value, or a single group.
    """

    def __init__(self, model: Model, column: str, option: str = "group_by") -> None:
        self.column = column
        self.codes, values = pd.factorize(_complete(model, column, option), sort=True)
        self.names = [str(value) for value in values]

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Cells of each group."""
        return np.bincount(self.codes, minlength=len(self.names))

    def means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean over each group's cells: (n_cells, k) to (n_groups, k)."""
        members = sparse.csr_matrix(
            (1 / self.sizes[self.codes], (self.codes, np.arange(len(self.codes)))), shape=(len(self.names), len(self.codes))
        )
        means: NDArray[np.float32] = (members @ values.astype(np.float64)).astype(np.float32)
        return means


def labels_of(model: Model, column: str, option: str = "label") -> NDArray[np.object_]:
    """Values of a column of the cells, as texts, to be compared between cells.

    Raises
    ------
    InputError
        No such column, cells without a value, one value only, or no two cells that share one.
    """
    values = _complete(model, column, option)
    if values.nunique() == len(values):
        raise InputError(f"{option}: each of the {len(values):,} cells has a {column} of its own, such as {str(values.iloc[0])!r}.")
    return values.astype(str).to_numpy(dtype=object)


def column_of(model: Model, column: str, option: str) -> pd.Series:
    """A column of the cells' table, or an InputError that names those there are."""
    if column not in model.cells:
        known = ", ".join(map(str, model.cells.columns)) or "none"
        raise InputError(f"{option}: the cells of {model.card.id} have no column {column!r}; they have {known}.")
    return model.cells[column]


def _complete(model: Model, column: str, option: str) -> pd.Series:
    values = column_of(model, column, option)
    missing = values.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"{option}: {missing.sum():,} of {len(values):,} cells have no {column}, such as {values.index[missing][0]!r} "
            f"(row {int(missing.argmax()) + 1:,}). Choose another column, or fill it in the model's table of cells."
        )
    if values.nunique() < 2:
        raise InputError(
            f"{option}: all {len(values):,} cells have the {column} {str(values.iloc[0])!r}; expected two or more values."
        )
    return values
