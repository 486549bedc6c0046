"""The effects of batches on new cells of a batch-corrected model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.package.batch_names import batch_names
from scbasset_zoo.progress import say
from scbasset_zoo.wording import did_you_mean, option

if TYPE_CHECKING:
    from scbasset_zoo.runtime.model import Model

Array = NDArray[np.float32]


@dataclass(frozen=True)
class NewBatches:
    """The batches of new cells.

    Attributes
    ----------
    of_cell : list of str
        The batch of each cell.
    number : int array of shape (n_cells,)
        Its position in the model; -1 for a batch that the model does not know.
    """

    of_cell: list[str]
    number: NDArray[np.intp]

    def rows(self, rows: NDArray[np.intp]) -> NewBatches:
        """Return the batches of some of the cells."""
        return NewBatches([self.of_cell[row] for row in rows], self.number[rows])

    @property
    def known(self) -> list[str | None]:
        """The batch of each cell, or None for one that the model does not know."""
        return [name if number >= 0 else None for name, number in zip(self.of_cell, self.number, strict=True)]

    @property
    def unknown(self) -> list[str]:
        """Names of the batches that the model does not know."""
        return list(dict.fromkeys(name for name, number in zip(self.of_cell, self.number, strict=True) if number < 0))


def read_batches(model: Model, cells: pd.DataFrame, batch_key: str) -> NewBatches:
    """Read the batches of new cells from a column, and find those that the model knows.

    Raises
    ------
    InputError
        The model is not batch-corrected, there is no such column, or a cell has no batch.
    """
    if model.batches is None:
        raise InputError(
            f"{option('batch_key', batch_key)}: {model.card.id} {model.card.version} is not batch-corrected, so it has no effects "
            f"of batches. Leave {option('batch_key')} out."
        )
    if batch_key not in cells:
        raise InputError(
            f"{option('batch_key', batch_key)}: the new cells have no such column. Columns: {', '.join(map(str, cells)) or 'none'}."
            f"{did_you_mean(batch_key, map(str, cells))}"
        )
    is_missing = cells[batch_key].isna().to_numpy()
    if is_missing.any():
        raise InputError(
            f"{option('batch_key', batch_key)}: {is_missing.sum():,} of {len(cells):,} cells have no batch, first "
            f"{cells.index[int(is_missing.argmax())]!r}. Fill the column, or leave these cells out."
        )
    assert model.card.batch_correction is not None
    names = batch_names(model.cells, model.card.batch_correction.column, model.batches.by_cell)
    number = {name: position for position, name in enumerate(names) if name is not None}
    of_cell = [str(name) for name in cells[batch_key]]
    batches = NewBatches(of_cell, np.array([number.get(name, -1) for name in of_cell], dtype=np.intp))
    if batches.unknown:
        say(f"The model does not know the batches {', '.join(batches.unknown)}; it knows {', '.join(number)}.")
    return batches


def known_effects(model: Model, batches: NewBatches) -> tuple[Array, Array]:
    """Return weights (n_cells, embedding_size) and intercepts (n_cells,) of the batches that the model knows; 0 for others."""
    path = model.batches
    assert path is not None
    is_known = batches.number >= 0
    embedding = np.zeros((len(batches.number), path.embedding.shape[0]), dtype=np.float32)
    intercept = np.zeros(len(batches.number), dtype=np.float32)
    embedding[is_known] = path.embedding.T[batches.number[is_known]]
    intercept[is_known] = path.intercept[batches.number[is_known]]
    return embedding, intercept


def common_effect(model: Model, embedding: Array, intercept: Array) -> tuple[Array, Array]:
    """Return the effect of a batch that the model does not know, from the cells of that batch, fitted without it.

    It is what all of these cells have in common beside the mean of the model's cells: the effect v of the joint fit of w_i + v
    whose cells w_i have the mean of the model's cells, in weights and intercept. A batch with another mix of cells has another
    mean for that reason, too, and then loses it.

    Parameters
    ----------
    model : Model
    embedding, intercept : arrays of shape (n_cells, embedding_size) and (n_cells,)
        Of the cells of the batch.

    Returns
    -------
    float32 arrays of shape (embedding_size,) and ()
    """
    of_model = model.cell_embedding.mean(axis=0, dtype=np.float64), model.cell_intercept.mean(dtype=np.float64)
    effect = embedding.mean(axis=0, dtype=np.float64) - of_model[0]
    return effect.astype(np.float32), np.float32(intercept.mean(dtype=np.float64) - of_model[1])  # type: ignore[return-value]
