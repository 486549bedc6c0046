"""The matrix of denoised accessibility, of which any part can be computed; the whole is never in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from scbasset_zoo.extend.blocks import BLOCK_CELLS, PEAK_STEP, Block
from scbasset_zoo_plugins.denoise.agreement import Profiles

Array = NDArray[np.float32]
COLUMNS_PER_BATCH = 1024


class Denoised:
    """A matrix of cells x peaks, or of cells x genes: accessibility without the depth of each cell.

    Parameters
    ----------
    cell_embedding : (n_cells, k)
    peak_embedding : (n_peaks, k)
        Less its mean over the training peaks, where that is what leaves depth out: see
        :func:`scbasset_zoo_plugins.denoise.depth.without_depth`.
    is_probability : bool
        Values are probabilities, the sigmoid of the logits; otherwise they are logits.
    level : float
        Added to the logits of all cells before the sigmoid.
    weights : csr_matrix (n_genes, n_peaks), optional
        Columns are genes: sums over peaks with these weights.

    Attributes
    ----------
    column_embedding : (n_columns, k)
        Embedding of the peaks, or of the genes.
    level : float
    """

    def __init__(
        self,
        cell_embedding: Array,
        peak_embedding: Array,
        is_probability: bool,
        level: float = 0.0,
        weights: sparse.csr_matrix | None = None,
    ) -> None:
        self._cells, self._peaks, self._is_probability, self._weights = cell_embedding, peak_embedding, is_probability, weights
        self.level = level
        self.column_embedding = peak_embedding if weights is None else weights @ peak_embedding

    @property
    def n_cells(self) -> int:
        """Number of rows."""
        return len(self._cells)

    def weighted(self, weights: sparse.csr_matrix) -> Denoised:
        """Return the matrix whose columns are sums over peaks with these weights (n_genes, n_peaks)."""
        return Denoised(self._cells, self._peaks, self._is_probability, float(np.float32(self.level)), weights)

    def values(self, cells: Any, columns: Any = slice(None)) -> Array:
        """Compute the part (cells, columns) of the matrix."""
        if self._weights is None or not self._is_probability:  # a mean of logits is the logit of the mean embedding
            logits = self._cells[cells] @ self.column_embedding[columns].T
            return expit(logits + np.float32(self.level)) if self._is_probability else logits
        weights = self._weights[columns].tocsc()
        used = np.flatnonzero(np.diff(weights.indptr))
        return np.ascontiguousarray((weights[:, used] @ expit(self._peaks[used] @ self._cells[cells].T + np.float32(self.level))).T)

    def blocks(self) -> Iterator[Block]:
        """Compute the whole matrix in blocks: all cells of some columns, then the next columns."""
        for first in range(0, len(self.column_embedding), PEAK_STEP):
            columns = slice(first, min(first + PEAK_STEP, len(self.column_embedding)))
            for start in range(0, len(self._cells), BLOCK_CELLS):
                cells = slice(start, min(start + BLOCK_CELLS, len(self._cells)))
                yield Block(cells, columns, self.values(cells, columns))

    def means(self, cells: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the mean over all columns of each of some cells."""
        if not self._is_probability:
            return self._cells[cells].astype(np.float64) @ self.column_embedding.mean(axis=0, dtype=np.float64)
        sums = np.zeros(len(cells))
        for first in range(0, len(self.column_embedding), COLUMNS_PER_BATCH):
            sums += self.values(cells, slice(first, first + COLUMNS_PER_BATCH)).sum(axis=1, dtype=np.float64)
        return sums / len(self.column_embedding)

    def profiles(self, cells: NDArray[np.intp]) -> Profiles:
        """Return the profiles of some cells over all columns."""
        if not self._is_probability:
            embedding, columns = self._cells[cells].astype(np.float64), self.column_embedding.astype(np.float64)
            products = embedding @ (columns.T @ columns) @ embedding.T
            return Profiles(products, embedding @ columns.sum(axis=0), len(columns))
        products, sums = np.zeros((len(cells), len(cells))), np.zeros(len(cells))
        for first in range(0, len(self.column_embedding), COLUMNS_PER_BATCH):
            # In float64, because correlations come from small differences of large sums.
            values = self.values(cells, slice(first, first + COLUMNS_PER_BATCH)).astype(np.float64)
            products += values @ values.T
            sums += values.sum(axis=1)
        return Profiles(products, sums, len(self.column_embedding))

    def most_variable(self, n: int) -> NDArray[np.intp]:
        """Return the n columns whose logits vary most over cells, in ascending order.

        What a cell adds to all columns alike is not counted.
        """
        centred = self.column_embedding - self.column_embedding.mean(axis=0)
        variance = np.einsum("pk,kl,pl->p", centred, np.cov(self._cells.T), centred)
        return np.sort(np.argsort(-variance, kind="stable")[:n])
