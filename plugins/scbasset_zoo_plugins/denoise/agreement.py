"""Measures of agreement of accessibility with labels and with RNA: correlations, distances between profiles, rank distances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.extend.chance import NO_CHANCE, Chance

Array = NDArray[np.float64]

# A variance below this share of the mean square is rounding error of the sums.
_ROUNDING = 1e-12


class Correlations:
    """Pearson correlation of two matrices, cells x genes, that are added in blocks of cells.

    Attributes
    ----------
    per_cell : list of float arrays
        Correlation over genes of each cell, as :meth:`per_gene`; an array for each block.
    """

    def __init__(self) -> None:
        self.per_cell: list[Array] = []
        self._n = self._n_defined = 0
        self._sums: Array | int = 0
        self._sums_of_units: Array | int = 0

    def add(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        """Add the next block of cells: two arrays (cells, genes)."""
        a, b = first.astype(np.float64), second.astype(np.float64)
        self.per_cell.append(_pearson(_sums(a, b, axis=1), a.shape[1]))
        self._sums = self._sums + _sums(a, b, axis=0)
        self._n += len(a)
        units = np.stack([_unit_vectors(a, axis=1), _unit_vectors(b, axis=1)])
        units = units[:, np.isfinite(units).all(axis=(0, 2))]
        self._sums_of_units = self._sums_of_units + units.sum(axis=1)
        self._n_defined += units.shape[1]

    def per_gene(self) -> Array:
        """Return the correlation over all cells of each gene; NaN for a gene that does not vary, or with fewer than three cells."""
        assert isinstance(self._sums, np.ndarray)
        return _pearson(self._sums, self._n)

    def mean_over_pairs(self) -> float:
        """Return the mean of the correlation over genes of each row of the first matrix with each row of the second.

        It is the mean over cells that is expected if rows of the second move to other cells at random.
        """
        assert isinstance(self._sums_of_units, np.ndarray)
        first, second = self._sums_of_units
        # The correlation of two pairs is 1 or -1.
        return float(first @ second) / self._n_defined**2 if self._n_defined and len(first) > 2 else np.nan


def chance_of_mean_correlation(first: NDArray[Any], second: NDArray[Any], axis: int, n_cells: int) -> Chance:
    """Return what the mean correlation of two matrices is if rows of the second move to other cells at random.

    Mean and standard deviation are those over all permutations (Hoeffding 1951): the mean of products[i, order[i]] over i has the
    mean of all products. Its variance is their mean square, without the means of rows and columns, over the number of cells less 1.

    Parameters
    ----------
    first, second : arrays (cells, genes)
        Cells may be a random part of all cells.
    axis : 0 or 1
        Correlate over cells (0), for the mean over genes; or over genes (1), for the mean over cells.
    n_cells : int
        Number of all cells. The standard deviation is that of a mean correlation of so many cells.

    Returns
    -------
    Chance
        Genes or cells whose correlation is undefined are left out. NaN if fewer than two cells or no gene are left.
    """
    a, b = (_unit_vectors(matrix.astype(np.float64), axis) for matrix in (first, second))
    defined = np.isfinite(a).all(axis=axis) & np.isfinite(b).all(axis=axis)
    if first.shape[axis] < 3 or defined.sum() < 1 + axis:
        return NO_CHANCE
    a, b = (matrix.compress(defined, axis=1 - axis) for matrix in (a, b))
    products = a @ b.T if axis else a @ b.T * (len(a) / a.shape[1])
    centred = products - products.mean(axis=0) - products.mean(axis=1, keepdims=True) + products.mean()
    return Chance(float(products.mean()), float(np.sqrt(np.square(centred).mean() / (n_cells - 1))))


class Profiles:
    """Accessibility profiles of cells over peaks, given by their inner products.

    Distances and principal components follow from the inner products, so the cells x peaks matrix is not needed.

    Parameters
    ----------
    products : float array (n_cells, n_cells)
        Inner product of each two profiles.
    sums : float array (n_cells,)
        Sum of each profile over peaks.
    n_peaks : int
    """

    def __init__(self, products: NDArray[Any], sums: NDArray[Any], n_peaks: int) -> None:
        self.products, self.sums, self.n_peaks = products.astype(np.float64), sums.astype(np.float64), n_peaks

    def varies(self) -> NDArray[np.bool_]:
        """Return whether each profile varies over peaks, (n_cells,). The correlation of one that does not is undefined."""
        squares = self.products.diagonal()
        varies: NDArray[np.bool_] = squares - self.sums**2 / self.n_peaks > _ROUNDING * squares
        return varies

    def take(self, cells: NDArray[Any]) -> Profiles:
        """Return the profiles of some cells, given as positions or as booleans."""
        return Profiles(self.products[cells][:, cells], self.sums[cells], self.n_peaks)

    def correlation_distances(self) -> Array:
        """Return 1 - Pearson correlation of each two profiles, (n_cells, n_cells); 1 if a profile does not vary."""
        covariance = self.products - np.outer(self.sums, self.sums) / self.n_peaks
        deviation = np.where(self.varies(), np.sqrt(np.maximum(covariance.diagonal(), 0)), 0)
        scale = np.outer(deviation, deviation)
        correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        distances = 1 - np.clip(correlation, -1, 1)
        np.fill_diagonal(distances, 0)
        return distances

    def principal_components(self, n: int = 50) -> Array:
        """Return the scores of the cells on up to n principal components with variance, (n_cells, components)."""
        mean = self.products.mean(axis=0)
        values, vectors = np.linalg.eigh(self.products - mean - mean[:, None] + mean.mean())
        least = max(1e-9 * values.max(initial=0), _ROUNDING * np.trace(self.products))
        kept = np.flatnonzero(values > least)[::-1][:n]
        scores: Array = vectors[:, kept] * np.sqrt(values[kept])
        return scores


def rank_distances(first: NDArray[Any], second: NDArray[Any], cells: NDArray[np.intp], block: int = 512) -> Array:
    """Rank the second position of a cell among those of all cells, by distance to the cell's first position.

    Yuan & Kelley 2022, Methods, use this to compare ATAC and RNA of the same cells.

    Parameters
    ----------
    first, second : float arrays (n_cells, dimensions)
        Two positions of each cell in one space, such as by ATAC and by RNA.
    cells : int array
        Positions of the cells to rank.
    block : int
        Cells per computation.

    Returns
    -------
    float array (number of `cells`,)
        Share of the other cells whose second position is nearer: 0 is best, 0.5 is expected by chance. Ties count half.
    """
    from scipy.spatial.distance import cdist

    ranks = []
    for start in range(0, len(cells), block):
        batch = cells[start : start + block]
        distances = cdist(first[batch], second, "sqeuclidean")
        own = distances[np.arange(len(batch)), batch][:, None]
        nearer = (distances < own).sum(axis=1) + ((distances == own).sum(axis=1) - 1) / 2
        ranks.append(nearer / (len(second) - 1))
    return np.concatenate(ranks)


def _unit_vectors(matrix: Array, axis: int) -> Array:
    """Return a matrix whose lines along an axis have mean 0 and length 1; NaN for a line that does not vary."""
    centred = matrix - matrix.mean(axis=axis, keepdims=True)
    squares = np.square(centred).sum(axis=axis, keepdims=True)
    varies = squares > _ROUNDING * np.square(matrix).sum(axis=axis, keepdims=True)
    unit: Array = centred / np.sqrt(np.where(varies, squares, np.nan))
    return unit


def _sums(a: Array, b: Array, axis: int) -> Array:
    """Return the sums of a, b, a squared, b squared and a times b."""
    return np.stack([part.sum(axis=axis) for part in (a, b, a * a, b * b, a * b)])


def _pearson(sums: Array, n: int) -> Array:
    """Return the correlation from sums over n pairs, (5, ...); NaN if a or b does not vary, or if n is less than 3."""
    a, b, aa, bb, ab = sums
    if n < 3:  # the correlation of two pairs is 1 or -1
        return np.full(len(a), np.nan)
    of_a, of_b = np.maximum(aa - a * a / n, 0), np.maximum(bb - b * b / n, 0)
    varies = (of_a > _ROUNDING * aa) & (of_b > _ROUNDING * bb)
    return np.divide(ab - a * b / n, np.sqrt(of_a * of_b), out=np.full(len(a), np.nan), where=varies)
