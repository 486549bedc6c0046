"""Finds the nearest cells of a model for new cells, and gives the new cells their labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import install_command

Array = NDArray[np.float32]

# A new cell is unlike the model's cells if more than this share of expected cells lie nearer.
UNLIKE = 0.99


def nearest_cells(reference: Array, new: Array, n_neighbours: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the nearest cells of a model for new cells.

    Parameters
    ----------
    reference, new : float32 arrays of shape (n_reference, size) and (n_cells, size)
        Canonical embeddings.
    n_neighbours : int
        At most n_reference are used.

    Returns
    -------
    int array of shape (n_cells, n_neighbours)
        Positions in the model, the nearest first.
    float64 array of shape (n_cells,)
        Mean distance to them.
    """
    distances, cells = _search(reference, new, min(n_neighbours, len(reference)))
    return cells, distances.mean(axis=1)


def mean_distances(reference: Array, cells: Array, n_neighbours: int, *, without: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean distance of each cell to the nearest cells of a model, one of which is left out: `without`, (n_cells,)."""
    n = max(1, min(n_neighbours, len(reference) - 1))
    distances, nearest = _search(reference, cells, min(n + 1, len(reference)))
    is_other = nearest != without[:, None]
    # If the cell itself is not among the nearest, the farthest is left out.
    is_other[is_other.all(axis=1), -1] = nearest.shape[1] == 1
    kept = np.where(is_other, distances, 0)
    means: NDArray[np.float64] = kept.sum(axis=1) / np.maximum(is_other.sum(axis=1), 1)
    return means


def _search(reference: Array, cells: Array, n: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        raise InputError(f"Nearest cells need scikit-learn. Install it: {install_command('analyses')}.") from None
    found: tuple[NDArray[np.float64], NDArray[np.intp]] = NearestNeighbors(n_neighbors=n).fit(reference).kneighbors(cells)
    return found


def transfer_labels(labels: pd.Series, nearest: NDArray[np.intp]) -> tuple[pd.Categorical, NDArray[np.float64]]:
    """Return the most frequent label among the nearest cells of each new cell, and the share of them that has it.

    Parameters
    ----------
    labels : Series of n_reference
        Labels of the model's cells; missing ones do not vote.
    nearest : int array of shape (n_cells, n_neighbours)

    Returns
    -------
    Categorical of n_cells
        Missing for a cell whose nearest cells have no label. Of equally frequent labels, the one of the nearest cell is taken.
    float64 array of shape (n_cells,)
        The confidence, from 1 / number of labels to 1; NaN for a missing label.
    """
    column = labels.astype("category")
    codes = column.cat.codes.to_numpy()[nearest]
    n_labels = len(column.cat.categories)
    votes = np.zeros((len(codes), n_labels))
    # The nearest counts a little more, which decides between equal numbers of votes.
    weights = 1 + 1e-6 * np.linspace(1, 0, codes.shape[1])
    for neighbour in range(codes.shape[1]):
        has_label = codes[:, neighbour] >= 0
        votes[np.flatnonzero(has_label), codes[has_label, neighbour]] += weights[neighbour]
    chosen = np.where(votes.any(axis=1), votes.argmax(axis=1), -1) if n_labels else np.full(len(codes), -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        confidence = np.where(chosen >= 0, (codes == chosen[:, None]).sum(axis=1) / (codes >= 0).sum(axis=1), np.nan)
    return pd.Categorical.from_codes(chosen, categories=column.cat.categories), confidence
