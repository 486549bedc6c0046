"""The batches of a batch-corrected model that new cells belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.package.batch_names import batch_names
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from scbasset_zoo.runtime.sequence_model import SequenceModel

Array = NDArray[np.float32]


def batches_of_new_cells(model: SequenceModel, barcodes: pd.Index, batches: Sequence[str | None] | None) -> Array | None:
    """Return which batches of a model new cells belong to.

    Parameters
    ----------
    model : Model
    barcodes : Index of n_new barcodes
    batches : sequence of n_new names, optional
        The batch of each cell: one of the model's, or None for another one.

    Returns
    -------
    float32 array of shape (n_batches, n_new), or None
        1 where the cell belongs to the batch, else 0. None if no cell belongs to a batch of the model.

    Raises
    ------
    InputError
        The model has no batches, or none of that name.
    """
    if batches is None or all(name is None for name in batches):
        return None
    card = model.card
    if model.batches is None or card.batch_correction is None:
        raise InputError(
            f"{card.id} {card.version} has no batches, so new cells cannot be of one of them: leave out {option('batches')}."
        )
    if len(batches) != len(barcodes):
        raise InputError(
            f"{option('batches')} has {len(batches):,} names for {len(barcodes):,} new cells; give one for each, or None."
        )
    names = batch_names(model.cells, card.batch_correction.column, model.batches.by_cell)
    shown = ", ".join(repr(name) for name in names if name is not None) or "without names"
    position = {name: number for number, name in enumerate(names) if name is not None}
    by_cell = np.zeros((len(names), len(barcodes)), dtype=np.float32)
    for cell, name in enumerate(batches):
        if name is None:
            continue
        if str(name) not in position:
            raise InputError(
                f"{option('batches')}: the new cell {barcodes[cell]!r} (row {cell}, counting from 0) is of the batch {name!r}, "
                f"which {card.id} {card.version} does not have. Its batches are {shown}. "
                "Give None for cells of other batches."
            )
        by_cell[position[str(name)], cell] = 1
    return by_cell


def with_batch_column(model: SequenceModel, cells: pd.DataFrame, by_cell: Array) -> pd.DataFrame:
    """Return new cells with their batches in the column that names the batches of the model's cells.

    Parameters
    ----------
    model : Model
    cells : DataFrame of n_new rows
    by_cell : float32 array of shape (n_batches, n_new)
        From :func:`batches_of_new_cells`.

    Raises
    ------
    InputError
        The cells have this column already, and it says something else.
    """
    assert model.batches is not None
    assert model.card.batch_correction is not None
    column, of_batches = model.card.batch_correction.column, model.batches.by_cell
    # A cell that is of one batch alone has the value of this batch, with its type.
    of_model = model.cells[column]
    is_of_one = (np.count_nonzero(of_batches, axis=0) == 1) & of_model.notna().to_numpy()
    value_of_batch = np.full(len(of_batches), None, dtype=object)
    for batch in np.flatnonzero(by_cell.any(axis=1)):
        value_of_batch[batch] = of_model.iloc[int((of_batches[batch] * is_of_one).argmax())]
    has_batch = by_cell.any(axis=0)
    values = value_of_batch[by_cell.argmax(axis=0)]
    values[~has_batch] = None
    if column in cells:
        given = cells[column].astype(object).where(cells[column].notna(), None).to_numpy(dtype=object)
        for cell in np.flatnonzero(has_batch).tolist():
            if given[cell] is not None and str(given[cell]) != str(values[cell]):
                raise InputError(
                    f"The new cell {cells.index[cell]!r} (row {cell}, counting from 0) is of the batch {str(values[cell])!r} by "
                    f"{option('batches')}, but its column {column!r} says {str(given[cell])!r}. Make them the same, or drop the "
                    "column."
                )
        values[~has_batch] = given[~has_batch]
    return cells.assign(**{column: pd.Series(values, index=cells.index, dtype=object)})
