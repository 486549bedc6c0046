"""Columns of a model's cells that must say something of every cell: types, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError

if TYPE_CHECKING:
    from scbasset_zoo.runtime.model import Model


def complete_column(model: Model, column: str, option: str) -> NDArray[np.object_]:
    """Values of a column of the cells, as texts.

    Raises
    ------
    InputError
        No such column, cells without a value, one value only, or no two cells that share one.
    """
    if column not in model.cells:
        raise InputError(
            f"{option}: the cells of {model.card.id} have no column {column!r}; they have "
            f"{', '.join(model.cells.columns) or 'none'}."
        )
    values = model.cells[column]
    missing = values.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"{option}: {missing.sum():,} of {len(values):,} cells have no {column}, such as {values.index[missing][0]!r} "
            f"(row {int(missing.argmax()) + 1:,}). It must say something of every cell."
        )
    n_values = values.nunique()
    if not 2 <= n_values < len(values):
        raise InputError(
            f"{option}: the {len(values):,} cells have {n_values:,} different values of {column}, such as {values.iloc[0]!r}; "
            "expected two or more, some of them shared."
        )
    return values.astype(str).to_numpy(dtype=object)
