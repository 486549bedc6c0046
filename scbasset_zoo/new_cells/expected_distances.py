"""How far new cells would lie from the model's cells if they were of the same kinds: the baseline of their distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from scbasset_zoo.new_cells.label_transfer import mean_distances
from scbasset_zoo.new_cells.regression import CellRegression

if TYPE_CHECKING:
    from scbasset_zoo.runtime.model import Model

MOST_CELLS = 500
_CELLS_AT_ONCE = 50
_HALVINGS = 40


def expected_distances(
    model: Model,
    regression: CellRegression,
    peak_embedding: NDArray[np.float32],
    n_open: NDArray[np.int64],
    ridge: float,
    n_neighbours: int,
    seed: int,
) -> NDArray[np.float64]:
    """Embed cells that are drawn from the model's predictions, as if they were new, and return their distances.

    The open peaks of each are drawn from the predictions of a cell of the model, with as many expected open peaks as a new cell
    has. So these cells have the noise of new cells, and are of the model's kinds. The cell that a drawn cell comes from is not one
    of its nearest cells.

    Parameters
    ----------
    model : Model
    regression : CellRegression
        On `peak_embedding`.
    peak_embedding : float32 array of shape (n_peaks, embedding_size)
        The peaks of the new cells.
    n_open : int64 array of shape (n_cells,)
        Numbers of open peaks of the new cells.
    ridge : float
    n_neighbours : int
    seed : int
        Seed of the sample of at most 500 of the model's cells, and of the draws.

    Returns
    -------
    float64 array of shape (n_drawn,)
        Mean distance of each drawn cell to its nearest cells of the model.
    """
    rng = np.random.default_rng(seed)
    sources = np.sort(rng.permutation(model.n_cells)[:MOST_CELLS])
    shares = np.clip(rng.choice(n_open, len(sources)), 0.5, len(peak_embedding) - 0.5) / len(peak_embedding)
    drawn = []
    for first in range(0, len(sources), _CELLS_AT_ONCE):
        part = slice(first, first + _CELLS_AT_ONCE)
        logits = peak_embedding @ model.cell_embedding[sources[part]].T
        logits += _intercepts(logits, shares[part])
        drawn.append(sparse.csr_matrix((rng.random(logits.shape, dtype=np.float32) < expit(logits)).T))
    fit = regression.fit(sparse.vstack(drawn, format="csr"), ridge)
    return mean_distances(model.canonical_embedding, model.canonical_space.embedding(fit.embedding), n_neighbours, without=sources)


def _intercepts(logits: NDArray[np.float32], shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the intercept of each column of logits (n_peaks, n_cells) with which its mean probability is a given share."""
    low, high = np.full(len(shares), -60.0), np.full(len(shares), 60.0)
    low, high = low - logits.max(axis=0), high - logits.min(axis=0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_low = expit(logits + middle.astype(np.float32)).mean(axis=0) < shares
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    intercepts: NDArray[np.float32] = ((low + high) / 2).astype(np.float32)
    return intercepts
