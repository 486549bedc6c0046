"""Denoised accessibility, computed where it is asked for and never whole."""

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
COLUMNS_AT_ONCE = 1024


class Denoised:
    """Cells x peaks, or means over peaks, without the intercept; computed where asked, never whole.

    Parameters
    ----------
    cell_embedding : (n_cells, k)
    peak_embedding : (n_peaks, k)
    probability : bool
        Sigmoid of the logits, rather than the logits.
    weights : csr_matrix (n_genes, n_peaks), optional
        Columns are these sums over peaks.
    """

    def __init__(
        self, cell_embedding: Array, peak_embedding: Array, probability: bool, weights: sparse.csr_matrix | None = None
    ) -> None:
        self._cells, self._peaks, self._probability, self._weights = cell_embedding, peak_embedding, probability, weights
        self.peak_embedding = peak_embedding if weights is None else weights @ peak_embedding

    @property
    def n_cells(self) -> int:
        """Rows."""
        return len(self._cells)

    def means(self, weights: sparse.csr_matrix) -> Denoised:
        """The same with genes for columns."""
        return Denoised(self._cells, self._peaks, self._probability, weights)

    def values(self, cells: Any, columns: Any = slice(None)) -> Array:
        """Part of the matrix, (cells, columns)."""
        if self._weights is None or not self._probability:  # means of logits are logits of means
            logits = self._cells[cells] @ self.peak_embedding[columns].T
            return expit(logits) if self._probability else logits
        weights = self._weights[columns].tocsc()
        used = np.flatnonzero(np.diff(weights.indptr))
        return np.ascontiguousarray((weights[:, used] @ expit(self._peaks[used] @ self._cells[cells].T)).T)

    def blocks(self) -> Iterator[Block]:
        """All of it, a stretch of columns after the other."""
        for first in range(0, len(self.peak_embedding), PEAK_STEP):
            columns = slice(first, min(first + PEAK_STEP, len(self.peak_embedding)))
            for start in range(0, len(self._cells), BLOCK_CELLS):
                cells = slice(start, min(start + BLOCK_CELLS, len(self._cells)))
                yield Block(cells, columns, self.values(cells, columns))

    def profiles(self, cells: NDArray[np.intp]) -> Profiles:
        """Inner products of some cells' profiles, over the columns."""
        if not self._probability:
            embedding, columns = self._cells[cells].astype(np.float64), self.peak_embedding.astype(np.float64)
            products = embedding @ (columns.T @ columns) @ embedding.T
            return Profiles(products, embedding @ columns.sum(axis=0), len(columns))
        products, sums = np.zeros((len(cells), len(cells))), np.zeros(len(cells))
        for first in range(0, len(self.peak_embedding), COLUMNS_AT_ONCE):
            values = self.values(cells, slice(first, first + COLUMNS_AT_ONCE))
            products += values @ values.T
            sums += values.sum(axis=1, dtype=np.float64)
        return Profiles(products, sums, len(self.peak_embedding))

    def most_variable(self, n: int) -> NDArray[np.intp]:
        """Columns whose logits vary most over cells, apart from what a cell adds to all of them; ascending."""
        varying = self.peak_embedding - self.peak_embedding.mean(axis=0)
        variance = np.einsum("pk,kl,pl->p", varying, np.cov(self._cells.T), varying)
        return np.sort(np.argsort(-variance, kind="stable")[:n])
