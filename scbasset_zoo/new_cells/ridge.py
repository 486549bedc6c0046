"""Chooses the ridge of new cells: the one whose fit predicts held-out peaks best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.graph.gauge import Gauge
from scbasset_zoo.new_cells.regression import CellRegression

CANDIDATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
HELD_OUT = 0.1
MOST_CELLS = 500


class HeldOut(NamedTuple):
    """How well fits predict held-out peaks.

    Attributes
    ----------
    ridges : tuple of float
    deviance_explained : float64 array of shape (n_ridges,)
        For each ridge, over all sampled cells: 1 - deviance / deviance of each cell's share of open peaks, on held-out peaks. It is
        0 by chance, and below 0 for a fit that predicts worse than that share.
    best : int
        Position of the best ridge.
    """

    ridges: tuple[float, ...]
    deviance_explained: NDArray[np.float64]
    best: int


def compare_ridges(
    peak_embedding: NDArray[np.float32],
    is_open: sparse.csr_matrix,
    gauge: Gauge,
    ridges: tuple[float, ...] = CANDIDATES,
    *,
    offset: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    seed: int = 0,
) -> HeldOut:
    """Fit a sample of cells without a tenth of the peaks for each ridge, and predict these peaks.

    Parameters
    ----------
    peak_embedding : float32 array of shape (n_peaks, embedding_size)
    is_open : csr_matrix of shape (n_cells, n_peaks)
    gauge : Gauge
    ridges : tuple of float
    offset : arrays, optional
        See :meth:`scbasset_zoo.new_cells.regression.CellRegression.fit`.
    seed : int
        Seed of the held-out peaks and of the sample of at most 500 cells.
    """
    rng = np.random.default_rng(seed)
    n_cells, n_peaks = is_open.shape
    order = rng.permutation(n_peaks)
    n_held_out = max(1, round(HELD_OUT * n_peaks))
    held_out, fitted = np.sort(order[:n_held_out]), np.sort(order[n_held_out:])
    cells = np.sort(rng.permutation(n_cells)[:MOST_CELLS])
    of_sample = is_open[cells]
    offset = None if offset is None else (offset[0][cells], offset[1][cells])
    seen, unseen = of_sample[:, fitted], of_sample[:, held_out]
    regression = CellRegression(peak_embedding[fitted], gauge)
    scorer = CellRegression(peak_embedding[held_out], gauge)
    share = np.clip(np.diff(seen.indptr), 0.5, len(fitted) - 0.5) / len(fitted)
    n_open = np.diff(unseen.indptr)
    by_share = -2 * (n_open * np.log(share) + (n_held_out - n_open) * np.log1p(-share))
    explained = np.empty(len(ridges))
    for number, ridge in enumerate(ridges):
        fit = regression.fit(seen, ridge, offset=offset)
        embedding, intercept = fit.embedding, fit.intercept
        if offset is not None:
            embedding, intercept = embedding + offset[0], intercept + offset[1]
        explained[number] = 1 - scorer.deviance(unseen, embedding, intercept).sum() / by_share.sum()
    return HeldOut(tuple(ridges), explained, int(explained.argmax()))
