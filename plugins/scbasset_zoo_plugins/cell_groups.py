"""Groups of a model's cells by a column of their table, checked, and the groups' mean embedding."""

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
    cells : DataFrame of n_cells rows
    column : str
    where : str
        Whose cells they are, for messages.

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

    def __init__(self, cells: pd.DataFrame, column: str, where: str) -> None:
        self.column = column
        self.codes, values = pd.factorize(column_of(cells, column, where), sort=True)
        missing = np.flatnonzero(self.codes < 0)
        if len(missing):
            raise InputError(
                f"{where}: {len(missing):,} of {len(cells):,} cells have no {column}, the first {cells.index[missing[0]]}. "
                "Choose another column, or fill it in the model's table of cells."
            )
        if len(values) < 2:
            raise InputError(f"{where}: all cells have the {column} {values[0]}; groups need at least two values.")
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


def groups_of(model: Model, column: str) -> CellGroups:
    """The groups of a model's cells."""
    return CellGroups(model.cells, column, f"{model.card.id} {model.card.version}")


def column_of(cells: pd.DataFrame, column: str, where: str) -> pd.Series:
    """A column of the cells' table, or an InputError that names those there are."""
    if column not in cells:
        raise InputError(f"{where}: the cells have no column {column!r}; they have {', '.join(map(str, cells.columns)) or 'none'}.")
    return cells[column]
