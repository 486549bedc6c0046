"""Gives new cells the labels of the nearest cells of a model, and says which of them are unlike all of the model's cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import install_command

Array = NDArray[np.float32]
MOST_REFERENCE_CELLS = 5_000
UNLIKE = 0.99


class Nearest(NamedTuple):
    """The nearest cells of the model.

    Attributes
    ----------
    cells : int array of shape (n_cells, n_neighbours)
        Positions in the model, the nearest first.
    distance : float64 array of shape (n_cells,)
        Mean distance to them.
    share_nearer : float64 array of shape (n_cells,)
        Share of the model's own cells whose mean distance to their nearest other cells is smaller.
    """

    cells: NDArray[np.intp]
    distance: NDArray[np.float64]
    share_nearer: NDArray[np.float64]


def nearest_cells(reference: Array, new: Array, n_neighbours: int, seed: int) -> Nearest:
    """Find the nearest cells of a model for new cells, and compare the distances with those among the model's own cells.

    Parameters
    ----------
    reference, new : float32 arrays of shape (n_reference, size) and (n_cells, size)
        Canonical embeddings.
    n_neighbours : int
        At most n_reference - 1 are used.
    seed : int
        Seed of the sample of at most 5,000 of the model's cells.
    """
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        raise InputError(f"Nearest cells need scikit-learn. Install it: {install_command('analyses')}.") from None
    if len(reference) < 2:
        raise InputError("The model has one cell, so there are no nearest cells of it.")
    n = min(n_neighbours, len(reference) - 1)
    search = NearestNeighbors(n_neighbors=n + 1).fit(reference)
    sample = np.sort(np.random.default_rng(seed).permutation(len(reference))[:MOST_REFERENCE_CELLS])
    own = search.kneighbors(reference[sample])[0][:, 1:].mean(axis=1)
    distances, cells = search.kneighbors(new, n_neighbors=n)
    mean = distances.mean(axis=1)
    return Nearest(cells, mean, np.searchsorted(np.sort(own), mean, side="left") / len(own))


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
    with np.errstate(invalid="ignore"):
        confidence = np.where(chosen >= 0, (codes == chosen[:, None]).sum(axis=1) / (codes >= 0).sum(axis=1), np.nan)
    return pd.Categorical.from_codes(chosen, categories=column.cat.categories), confidence
