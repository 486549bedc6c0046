"""The canonical space: depth apart from the rest, and distances between cells in units of logits, the same for every fit.

Let e be the embedding of a peak, W and b the embeddings and intercepts of the cells, and m and C the mean and the covariance of e
over the training peaks. The logits are e W + b. For any invertible matrix A and any shift c, the embeddings e A + c, A^-1 W and
b - c A^-1 W give the same logits, so W and b by themselves have no meaning. Two quantities do not depend on A and c:

- the depth of a cell, b + m W: its mean logit over the training peaks;
- the products W' C W: those of the cells' logits without depth, (e - m) W, as means over the training peaks.

The canonical embedding is C^(1/2) W, in coordinates that are the principal axes of the cells. The distance between two cells in
it is the root mean square difference of their logits without depth. The length of a cell is the standard deviation of its logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.graph.gauge import Gauge

Array = NDArray[np.float32]
Space = Literal["canonical", "published"]
Matrix = NDArray[np.float64]
_CELLS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class CanonicalSpace:
    """How to go from the published embeddings of a model to the canonical ones.

    Attributes
    ----------
    mean : float64 (embedding_size,)
        The mean peak embedding, m.
    axes : float64 (embedding_size, embedding_size)
        C^(1/2) times the principal axes of the cells: ``cell_embedding @ axes`` is the canonical embedding.
    """

    mean: Matrix
    axes: Matrix

    @classmethod
    def of(cls, gauge: Gauge, cell_embedding: Array) -> CanonicalSpace:
        """Find the principal axes of the cells, (n_cells, embedding_size).

        Axes are in the order of the variance of the cells along them, the largest first. Their signs are such that the sum of the
        cubed deviations of the cells from their mean is not negative.
        """
        values, vectors = np.linalg.eigh(gauge.covariance)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        n, size = cell_embedding.shape
        mean, square = np.zeros(size), np.zeros((size, size))
        for block in _blocks(cell_embedding):
            mean += block.sum(axis=0) / n
        for block in _blocks(cell_embedding):
            square += (block - mean).T @ (block - mean)
        _, principal = np.linalg.eigh(root @ square @ root)
        axes = root @ principal[:, ::-1]
        cubes = sum((((block - mean) @ axes) ** 3).sum(axis=0) for block in _blocks(cell_embedding))
        return cls(gauge.mean, axes * np.where(cubes < 0, -1.0, 1.0))

    def embedding(self, cell_embedding: Array) -> Array:
        """Return the canonical embedding of cells, or of anything that is linear in them, such as means of groups."""
        canonical = np.empty(cell_embedding.shape, dtype=np.float32)
        for first in range(0, len(canonical), _CELLS_AT_ONCE):
            part = slice(first, first + _CELLS_AT_ONCE)
            canonical[part] = cell_embedding[part].astype(np.float64) @ self.axes
        return canonical

    def depth(self, cell_embedding: Array, cell_intercept: Array) -> Array:
        """Return the depth of cells: their mean logit over the training peaks."""
        depth = np.empty(len(cell_intercept), dtype=np.float32)
        for first in range(0, len(depth), _CELLS_AT_ONCE):
            part = slice(first, first + _CELLS_AT_ONCE)
            depth[part] = cell_embedding[part].astype(np.float64) @ self.mean + cell_intercept[part]
        return depth


def _blocks(cells: NDArray[Any]) -> Iterator[Matrix]:
    for first in range(0, len(cells), _CELLS_AT_ONCE):
        yield cells[first : first + _CELLS_AT_ONCE].astype(np.float64)
