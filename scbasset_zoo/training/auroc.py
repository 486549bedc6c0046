"""AUROC over an epoch, from counts of logits: no prediction is kept."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Logits are counted in bins of equal width between these limits; beyond them, probabilities differ by less than 1e-5.
LOWEST_LOGIT, HIGHEST_LOGIT, BINS = -12.0, 8.0, 512


class MeanAuroc(tf.Module):
    """AUROC of each cell over all peaks since the last reset, averaged over cells.

    The logits of each cell are counted in 512 bins, all peaks and open peaks; ties within a bin count half. Memory does not
    grow with the number of peaks. If there are more than `max_cells` cells, an evenly spaced subset is counted.

    Parameters
    ----------
    n_cells : int
    max_cells : int
        The largest number of cells to count.
    """

    def __init__(self, n_cells: int, max_cells: int = 10_000):
        super().__init__()
        self.cells = np.unique(np.linspace(0, n_cells - 1, min(n_cells, max_cells)).astype(np.int32))
        self.is_subset = len(self.cells) < n_cells
        place = np.full(n_cells, -1, dtype=np.int32)
        place[self.cells] = np.arange(len(self.cells))
        self._place = tf.constant(place)
        shape = (len(self.cells), BINS)
        self.seen = tf.Variable(tf.zeros(shape, tf.int32), trainable=False, name="auroc_seen")
        self.open = tf.Variable(tf.zeros(shape, tf.int32), trainable=False, name="auroc_open")

    def update(self, logits: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor) -> None:
        """Count the logits (n, n_cells) of a batch whose open entries are at (peak, cell)."""
        if self.is_subset:
            logits = tf.gather(logits, self.cells, axis=1)
        self.count(logits, *self.counted_of_all(peak, cell))

    def counted_of_all(self, peak: tf.Tensor, cell: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Choose the open entries of counted cells among those of all cells: return what :meth:`count` takes beside the logits."""
        if self.is_subset:
            place = tf.gather(self._place, cell)
            peak, cell = tf.boolean_mask(peak, place >= 0), tf.boolean_mask(place, place >= 0)
        return tf.range(len(self.cells)), peak, cell

    def counted(
        self, cells: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Choose the cells to count among some cells, and their open entries.

        Parameters
        ----------
        cells : int32 tensor (n_some,)
        peak, cell : int32 tensors (n_open,)
            Open entries; `cell` is a position in `cells`.

        Returns
        -------
        columns : int32 tensor (n_counted,)
            Positions of the counted cells in `cells`.
        places, peak, cell : tuple of int32 tensors
            What :meth:`count` takes beside the logits of these cells: their places among all counted cells, and their open entries;
            `cell` is a position in `columns`.
        """
        place = tf.gather(self._place, cells)
        columns = tf.cast(tf.where(place >= 0)[:, 0], tf.int32)
        position = tf.cumsum(tf.cast(place >= 0, tf.int32)) - 1
        is_counted = tf.gather(place, cell) >= 0
        peak, cell = tf.boolean_mask(peak, is_counted), tf.gather(position, tf.boolean_mask(cell, is_counted))
        return columns, (tf.gather(place, columns), peak, cell)

    def count(self, logits: tf.Tensor, places: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor) -> None:
        """Count the logits (n, n_counted) of cells at `places` among the counted ones, with open entries at (peak, cell)."""
        scaled = (logits - LOWEST_LOGIT) * (BINS / (HIGHEST_LOGIT - LOWEST_LOGIT))
        bins = tf.cast(tf.clip_by_value(scaled, 0, BINS - 1), tf.int32) + BINS * places
        self.seen.assign_add(self._count(tf.reshape(bins, [-1])))
        self.open.assign_add(self._count(tf.gather_nd(bins, tf.stack([peak, cell], axis=1))))

    def reset(self) -> None:
        """Set all counts to zero."""
        self.seen.assign(tf.zeros_like(self.seen))
        self.open.assign(tf.zeros_like(self.open))

    def result(self) -> float:
        """Return the mean over the cells that have both open and closed peaks; NaN if no cell has."""
        return mean_auroc(self.open.numpy(), self.seen.numpy())

    def _count(self, bins: tf.Tensor) -> tf.Tensor:
        size = len(self.cells) * BINS
        return tf.reshape(tf.math.unsorted_segment_sum(tf.ones_like(bins), bins, size), (len(self.cells), BINS))


def mean_auroc(n_open: NDArray[np.integer], n_seen: NDArray[np.integer]) -> float:
    """Return the mean of :func:`auroc_of_counts` over the cells that have one; NaN if no cell has."""
    per_cell = auroc_of_counts(n_open, n_seen)
    return float(np.nanmean(per_cell)) if np.isfinite(per_cell).any() else float("nan")


def auroc_of_counts(n_open: NDArray[np.integer], n_seen: NDArray[np.integer]) -> NDArray[np.float64]:
    """Compute the AUROC of each cell from counts in ascending bins of the score; ties within a bin count half.

    Parameters
    ----------
    n_open, n_seen : integer arrays of shape (n_cells, n_bins)
        Number of open peaks and of all peaks whose score falls in each bin.

    Returns
    -------
    float64 array of shape (n_cells,), NaN where a cell has only open or only closed peaks
    """
    n_open = n_open.astype(np.float64)
    n_closed = n_seen - n_open
    closed_below = np.cumsum(n_closed, axis=1) - n_closed
    won = (n_open * (closed_below + n_closed / 2)).sum(axis=1)
    pairs = n_open.sum(axis=1) * n_closed.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
