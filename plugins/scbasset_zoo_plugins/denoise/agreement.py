"""How well accessibility profiles agree with labels and with RNA: correlations, distances between profiles, ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Correlations:
    """Pearson correlation of two matrices, cells x genes, that come a block of cells at a time.

    Attributes
    ----------
    per_cell : list of float arrays
        Over genes, a block each.
    """

    def __init__(self) -> None:
        self.per_cell: list[Array] = []
        self._n = 0
        self._sums: Array | int = 0

    def add(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        """Take in the next cells, two arrays (cells, genes)."""
        a, b = first.astype(np.float64), second.astype(np.float64)
        self.per_cell.append(_pearson(_sums(a, b, axis=1), a.shape[1]))
        self._sums = self._sums + _sums(a, b, axis=0)
        self._n += len(a)

    def per_gene(self) -> Array:
        """Over all cells taken in; NaN for a gene that does not vary."""
        assert isinstance(self._sums, np.ndarray)
        return _pearson(self._sums, self._n)


class Profiles:
    """Cells by the inner products of their profiles, which are never held whole.

    Parameters
    ----------
    products : float array (n_cells, n_cells)
        Inner products of the profiles.
    sums : float array (n_cells,)
        Each profile's sum.
    n_peaks : int
    """

    def __init__(self, products: NDArray[Any], sums: NDArray[Any], n_peaks: int) -> None:
        self.products, self.sums, self.n_peaks = products.astype(np.float64), sums.astype(np.float64), n_peaks

    def correlation_distances(self) -> Array:
        """1 - Pearson correlation of each two profiles over the peaks; 1 where a profile does not vary."""
        covariance = self.products - np.outer(self.sums, self.sums) / self.n_peaks
        deviation = np.sqrt(np.maximum(covariance.diagonal(), 0))
        scale = np.outer(deviation, deviation)
        correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        distances = 1 - np.clip(correlation, -1, 1)
        np.fill_diagonal(distances, 0)
        return distances

    def principal_components(self, n: int = 50) -> Array:
        """Scores of the cells on up to n principal components, (n_cells, components); those without variance are left out."""
        of_cell = self.products.mean(axis=0)
        values, vectors = np.linalg.eigh(self.products - of_cell - of_cell[:, None] + of_cell.mean())
        kept = np.flatnonzero(values > 1e-9 * max(values[-1], 0))[::-1][:n]
        scores: Array = vectors[:, kept] * np.sqrt(values[kept])
        return scores


def rank_distances(first: NDArray[Any], second: NDArray[Any], cells: NDArray[np.intp], block: int = 512) -> Array:
    """Rank of each cell's second profile among those of all cells, by distance to its first profile.

    Parameters
    ----------
    first, second : float arrays (n_cells, dimensions)
        Two profiles of the same cells in one space, such as ATAC and RNA.
    cells : positions
        The cells to rank, among all.
    block : int
        Cells at once.

    Returns
    -------
    float array, one for each of `cells`
        0 where no other cell's second profile is nearer, 1 where all are; 0.5 is expected by chance. Ties count half.
    """
    from scipy.spatial.distance import cdist

    ranks = []
    for start in range(0, len(cells), block):
        of_block = cells[start : start + block]
        distances = cdist(first[of_block], second, "sqeuclidean")
        own = distances[np.arange(len(of_block)), of_block][:, None]
        nearer = (distances < own).sum(axis=1) + ((distances == own).sum(axis=1) - 1) / 2
        ranks.append(nearer / (len(second) - 1))
    return np.concatenate(ranks)


def _sums(a: Array, b: Array, axis: int) -> Array:
    return np.stack([part.sum(axis=axis) for part in (a, b, a * a, b * b, a * b)])


def _pearson(sums: Array, n: int) -> Array:
    """From sums over n pairs, (5, ...); NaN where either side does not vary."""
    a, b, aa, bb, ab = sums
    scale = np.sqrt(np.maximum(aa - a * a / n, 0) * np.maximum(bb - b * b / n, 0))
    return np.divide(ab - a * b / n, scale, out=np.full(len(a), np.nan), where=scale > 1e-12 * np.sqrt(aa * bb))
