"""Fits cells to a trunk: the logistic regression of each cell's open peaks on the peaks' embeddings, for many cells at once.

With the trunk fixed, the loss of the network falls apart into one convex problem for each cell, with the weights w and the
intercept b. This module minimises, for each cell,

    sum over peaks of log(1 + exp(e w + b)) - y (e w + b)   +   ridge / 2 * w' C w,

where e is the embedding of a peak, y says whether it is open, and C is the covariance of the peak embeddings. w' C w is the squared
length of the cell in the canonical space (see :mod:`scbasset_zoo.runtime.canonical_space`), so the ridge has the same meaning for
every fit of a network.

The method is L-BFGS (Nocedal, Math. Comp. 1980) for all cells of a block together, in coordinates in which the peak embeddings have
the covariance 1. There the Hessian at w = 0 is a multiple of 1, which makes the start nearly Newton's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from scbasset_zoo.graph.gauge import Gauge

Matrix = NDArray[np.float64]

CELLS_AT_ONCE, PEAKS_AT_ONCE = 512, 4096
MOST_STEPS, MEMORY = 200, 8
# A cell is fitted when a further step would change its logits by less than this, as root mean square over peaks.
TOLERANCE = 1e-6
# A gradient is not more precise than this share of the number of peaks, as it is summed in float32.
ROUNDING = 2e-8
_SMALLEST_EIGENVALUE = 1e-7


@dataclass(frozen=True)
class FittedCells:
    """The cells of a fit.

    Attributes
    ----------
    embedding : float32 array of shape (n_cells, embedding_size)
        w, in the published space of the model.
    intercept : float32 array of shape (n_cells,)
        b.
    converged : bool array of shape (n_cells,)
    n_open : int64 array of shape (n_cells,)
        Number of open peaks that the cell was fitted to.
    deviance_explained : float64 array of shape (n_cells,)
        1 - deviance / deviance of the intercept alone, over the peaks of the fit. It is 0 by chance, but for the 32 parameters that
        each cell has. NaN for a cell without open peaks, or with open peaks only.
    """

    embedding: NDArray[np.float32]
    intercept: NDArray[np.float32]
    converged: NDArray[np.bool_]
    n_open: NDArray[np.int64]
    deviance_explained: Matrix


class CellRegression:
    """The regression of cells on the embeddings of some peaks.

    Parameters
    ----------
    peak_embedding : float32 array of shape (n_peaks, embedding_size)
    gauge : Gauge
        The mean and covariance that the coordinates and the ridge refer to: those of the model.
    """

    def __init__(self, peak_embedding: NDArray[np.float32], gauge: Gauge) -> None:
        values, vectors = np.linalg.eigh(gauge.covariance)
        # Directions in which the embeddings do not vary get no weight.
        is_used = values > _SMALLEST_EIGENVALUE * max(values.max(), np.finfo(float).tiny)
        self._mean = gauge.mean
        self._to_published = (vectors[:, is_used] / np.sqrt(values[is_used])).astype(np.float64)
        self._from_published = np.linalg.pinv(self._to_published.T)
        x = np.empty((len(peak_embedding), self._to_published.shape[1] + 1), dtype=np.float32)
        for first in range(0, len(x), 1 << 16):
            part = slice(first, first + (1 << 16))
            x[part, :-1] = (peak_embedding[part] - self._mean) @ self._to_published
        x[:, -1] = 1
        self._x = x

    def fit(
        self,
        is_open: sparse.csr_matrix,
        ridge: float,
        *,
        offset: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
        threads: int | None = None,
        advance: Callable[[int], None] = lambda n: None,
    ) -> FittedCells:
        """Fit cells.

        Parameters
        ----------
        is_open : csr_matrix of shape (n_cells, n_peaks)
            Stored entries are open peaks; their values are not read.
        ridge : float
            Penalty of the squared length in the canonical space, at least 0.
        offset : (float32 (n_cells, embedding_size), float32 (n_cells,)), optional
            Weights and intercept that are added to those of each cell and not fitted, such as the effect of its batch.
        threads : int, optional
            Blocks of cells that are fitted at the same time. By default the cores that this process may use.
        advance : callable
            It is called with the number of cells that are done.
        """
        n_cells = is_open.shape[0]
        size_published = len(self._mean)
        embedding = np.empty((n_cells, size_published), dtype=np.float32)
        intercept = np.empty(n_cells, dtype=np.float32)
        converged, explained = np.empty(n_cells, dtype=bool), np.empty(n_cells)

        def fit_block(first: int) -> int:
            part = slice(first, min(first + CELLS_AT_ONCE, n_cells))
            start = None if offset is None else self._inner(offset[0][part], offset[1][part])
            problem = _Block(self._x, is_open[part], ridge, start)
            weights = problem.minimise()
            embedding[part] = weights[:, :-1] @ self._to_published.T
            intercept[part] = weights[:, -1] - weights[:, :-1] @ (self._to_published.T @ self._mean)
            converged[part], explained[part] = problem.converged, problem.deviance_explained(weights)
            return part.stop - part.start

        # A thread for each block and one for its products: threads within threads would wait for each other.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
            for n_done in pool.map(fit_block, range(0, n_cells, CELLS_AT_ONCE)):
                advance(n_done)
        return FittedCells(embedding, intercept, converged, np.diff(is_open.indptr).astype(np.int64), explained)

    def deviance(self, is_open: sparse.csr_matrix, embedding: NDArray[np.float32], intercept: NDArray[np.float32]) -> Matrix:
        """Return the deviance of each cell, -2 log-likelihood, for given weights; shape (n_cells,)."""
        deviance = np.empty(is_open.shape[0])
        for first in range(0, len(deviance), CELLS_AT_ONCE):
            part = slice(first, first + CELLS_AT_ONCE)
            weights = self._inner(embedding[part], intercept[part])
            deviance[part] = _Block(self._x, is_open[part], 0.0, None).deviance(weights)
        return deviance

    def _inner(self, embedding: NDArray[np.float32], intercept: NDArray[np.float32]) -> Matrix:
        """Return published weights in the coordinates of this regression, (n_cells, size + 1)."""
        wide = embedding.astype(np.float64)
        return np.column_stack([wide @ self._from_published, intercept + wide @ self._mean])


class _Block:
    """The problem of a block of cells: gradient, steps and deviance. Weights are (n_cells, size + 1), the intercept last."""

    def __init__(
        self,
        x: NDArray[np.float32],
        is_open: sparse.csr_matrix,
        ridge: float,
        offset: Matrix | None,
    ) -> None:
        self.x, self.offset = x, offset
        n_cells, self.n_peaks = is_open.shape
        self.n_open = np.diff(is_open.indptr)
        ones = sparse.csr_matrix((np.ones(is_open.nnz, np.float32), is_open.indices, is_open.indptr), shape=is_open.shape)
        self.open_sum = np.asarray(ones @ x, dtype=np.float64)
        self.ridge = np.append(np.full(x.shape[1] - 1, float(ridge)), 0.0)
        # A cell without an open peak, or without a closed one, has no finite intercept: half a peak is added to it.
        rate = np.clip(self.n_open, 0.5, self.n_peaks - 0.5) / self.n_peaks
        self.rate = rate
        self.open_sum[self.n_open == 0, -1] = 0.5
        self.open_sum[self.n_open == self.n_peaks, -1] -= 0.5
        self.converged = np.zeros(n_cells, dtype=bool)

    def minimise(self) -> Matrix:
        """Return the weights that minimise the loss."""
        weights = np.zeros((len(self.n_open), self.x.shape[1]))
        weights[:, -1] = np.log(self.rate) - np.log1p(-self.rate)
        if self.offset is not None:
            weights[:, -1] -= self.offset[:, -1]
        # The Hessian at the start, in these coordinates a multiple of 1 for each cell.
        curvature = (self.n_peaks * self.rate * (1 - self.rate))[:, None] + self.ridge
        active = np.arange(len(weights))
        gradient = self._gradient(weights, active)
        steps: list[Matrix] = []
        changes: list[Matrix] = []
        for _ in range(MOST_STEPS):
            remaining = np.sqrt(((gradient / curvature[active]) ** 2).sum(axis=1))
            done = remaining <= np.maximum(TOLERANCE, ROUNDING * self.n_peaks / curvature[active, -1])
            self.converged[active[done]] = True
            going = ~done
            if not going.any():
                break
            active, gradient = active[going], gradient[going]
            steps, changes = [step[going] for step in steps[-MEMORY:]], [change[going] for change in changes[-MEMORY:]]
            direction = -_inverse_hessian(gradient, curvature[active], steps, changes)
            step, after = self._search(weights[active], direction, gradient, active)
            weights[active] += step
            steps.append(step)
            changes.append(after - gradient)
            gradient = after
        return weights

    def deviance(self, weights: Matrix) -> Matrix:
        """Return -2 log-likelihood of each cell, (n_cells,)."""
        if self.offset is not None:
            weights = weights + self.offset
        total = np.zeros(len(weights))
        columns = np.ascontiguousarray(weights.T, dtype=np.float32)
        for first in range(0, self.n_peaks, PEAKS_AT_ONCE):
            logits = self.x[first : first + PEAKS_AT_ONCE] @ columns
            total += np.logaddexp(0, logits).sum(axis=0, dtype=np.float64)
        deviance: Matrix = 2 * (total - (weights * self.open_sum).sum(axis=1))
        return deviance

    def deviance_explained(self, weights: Matrix) -> Matrix:
        """Return 1 - deviance / deviance of the intercept alone; NaN where that is not defined."""
        share = self.n_open / self.n_peaks
        with np.errstate(divide="ignore", invalid="ignore"):
            alone = -2 * self.n_peaks * (share * np.log(share) + (1 - share) * np.log1p(-share))
            return 1 - self.deviance(weights) / alone

    def _gradient(self, weights: Matrix, active: NDArray[np.intp]) -> Matrix:
        """Return the gradient of the loss of the active cells at their weights."""
        logits = weights if self.offset is None else weights + self.offset[active]
        # 1 / (1 + exp(-z)) = (1 + tanh(z / 2)) / 2. NumPy computes tanh several times faster than exp.
        halves = np.ascontiguousarray(logits.T / 2, dtype=np.float32)
        total = np.zeros_like(weights)
        for first in range(0, self.n_peaks, PEAKS_AT_ONCE):
            x = self.x[first : first + PEAKS_AT_ONCE]
            chance = x @ halves
            np.tanh(chance, out=chance)
            chance += 1
            chance *= 0.5
            total += chance.T @ x
        return total - self.open_sum[active] + self.ridge * weights

    def _search(self, weights: Matrix, direction: Matrix, gradient: Matrix, active: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        """Return steps along the directions and the gradients after them.

        The loss is convex, so a step is too long if the slope after it rises: it is shortened to where the slope would be 0 if it
        changed evenly.
        """
        slope = (direction * gradient).sum(axis=1)
        step, length = direction.copy(), np.ones(len(direction))
        after = self._gradient(weights + step, active)
        for _ in range(30):
            slope_after = (direction * after).sum(axis=1)
            long = np.flatnonzero(~(slope_after <= 0.5 * np.abs(slope)))
            if not len(long):
                break
            length[long] *= np.clip(-slope[long] / (slope_after[long] - slope[long]), 0.1, 0.8)
            step[long] = length[long, None] * direction[long]
            after[long] = self._gradient(weights[long] + step[long], active[long])
        return step, after


def _inverse_hessian(gradient: Matrix, curvature: Matrix, steps: list[Matrix], changes: list[Matrix]) -> Matrix:
    """Return the product of L-BFGS' inverse Hessian and the gradient, for each cell: the two-loop recursion."""
    product = gradient.copy()
    inverse = [_inverse_curvature(step, change) for step, change in zip(steps, changes, strict=True)]
    factors = []
    for step, change, rho in zip(reversed(steps), reversed(changes), reversed(inverse), strict=True):
        factor = rho * (step * product).sum(axis=1)
        product -= factor[:, None] * change
        factors.append(factor)
    product /= curvature
    if steps:
        ratio = inverse[-1] * (changes[-1] ** 2 / curvature).sum(axis=1)
        product /= np.where(ratio > 0, ratio, 1.0)[:, None]
    for step, change, rho, factor in zip(steps, changes, inverse, reversed(factors), strict=True):
        product += step * (factor - rho * (change * product).sum(axis=1))[:, None]
    return product


def _inverse_curvature(step: Matrix, change: Matrix) -> Matrix:
    """Return 1 / (step' change) of each cell; 0 leaves out a pair whose curvature is lost in rounding."""
    curvature = (step * change).sum(axis=1)
    size = np.sqrt((step**2).sum(axis=1) * (change**2).sum(axis=1))
    inverse: Matrix = np.divide(1, curvature, out=np.zeros(len(step)), where=curvature > 1e-8 * size)
    return inverse
