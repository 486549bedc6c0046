"""The part of a training step that grows with the number of cells, in blocks of cells or on drawn cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from scbasset_zoo.inputs.dna import Codes
from scbasset_zoo.training.architecture import Network
from scbasset_zoo.training.auroc import MeanAuroc
from scbasset_zoo.training.block_entries import DrawnCells, Numbers, in_blocks
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.drawn_adam import DrawnAdam
from scbasset_zoo.training.head_in_blocks import Cells, Entries, HeadGradients, cells_in_block, head_gradients
from scbasset_zoo.training.train_options import TrainingOptions


class Batch(NamedTuple):
    """A batch of peaks with its open entries, block after block of cells.

    Attributes
    ----------
    codes : int8 (n, length)
    peak, cell : int32 (n_open,)
        Number of the peak in the batch, and of the cell among the cells of this batch.
    ends : int32 (n_blocks + 1,)
        The entries of block b are ``ends[b]`` to ``ends[b + 1]``.
    cells : int32 (n_cells_of_batch,)
        The cells of this batch; empty for all cells.
    """

    codes: Codes
    peak: Numbers
    cell: Numbers
    ends: Numbers
    cells: Numbers


class ManyCells:
    """Loss, gradients and counts over blocks of cells, of all cells or of cells that are drawn for each step.

    Parameters
    ----------
    network : Network
        Its head has a row for each cell.
    prepared : PreparedPeaks
    options : TrainingOptions
    batch_size : int
        The largest number of peaks in a batch.
    n_drawn : int or None
        Number of cells in a step; None for all.
    """

    def __init__(self, network: Network, prepared: PreparedPeaks, options: TrainingOptions, batch_size: int, n_drawn: int | None):
        self.network, self.prepared, self.options = network, prepared, options
        self.draws = DrawnCells(prepared, n_drawn, options.seed) if n_drawn else None
        self.n_cells = n_drawn or prepared.n_cells
        self.block = cells_in_block(batch_size, self.n_cells)
        width = prepared.sequence_length + 2 * prepared.flank
        numbers = [tf.TensorSpec((None,), tf.int32, name) for name in Batch._fields[1:]]
        self.signature = (tf.TensorSpec((None, width), tf.int8, "codes"), *numbers)
        kernel, bias = (weight.value for weight in (network.cell_head.kernel, network.cell_head.bias))
        self.adam = DrawnAdam(kernel, bias, options.beta_1, options.beta_2) if n_drawn else None

    def training_batch(self, rows: NDArray[np.intp], epoch: int, step: int) -> Batch:
        """Return a batch of training peaks, with the cells that are drawn for its step."""
        if self.draws is None:
            return self._batch_of_all(rows)
        return self._batch_of(rows, self.draws.draw(epoch, step))

    def validation_batch(self, rows: NDArray[np.intp], counted: Numbers) -> Batch:
        """Return a batch of validation peaks: of all cells, or, where cells are drawn, of the `counted` cells."""
        return self._batch_of_all(rows) if self.draws is None else self._batch_of(rows, counted)

    def head(self, peak_embedding: tf.Tensor, batch_logits: tf.Tensor | None, batch: Batch, *, gradients: bool) -> HeadGradients:
        """Return loss and gradients of the head over the cells of a batch; the penalty on cells is part of both with `gradients`.

        With drawn cells the penalty is that on the drawn ones times n_cells / n_drawn, whose mean over draws is that on all.
        """
        l2 = (self.options.l2_cell or 0.0) * (self.prepared.n_cells / self.n_cells) if gradients else 0.0
        entries = Entries(batch.peak, batch.cell, batch.ends)
        cells = self._weights(batch)
        return head_gradients(peak_embedding, batch_logits, cells, entries, block=self.block, l2=l2, gradients=gradients)

    def count(self, auroc: MeanAuroc, peak_embedding: tf.Tensor, batch_logits: tf.Tensor | None, batch: Batch) -> None:
        """Count the logits of those cells of a batch that `auroc` counts."""
        if self.draws is None:
            columns, counted = auroc.cells, auroc.counted_of_all(batch.peak, batch.cell)
        else:
            columns, counted = auroc.counted(batch.cells, batch.peak, batch.cell)
        cells = self._weights(batch)
        logits = tf.matmul(peak_embedding, tf.gather(cells.kernel, columns), transpose_b=True) + tf.gather(cells.bias, columns)
        if batch_logits is not None:
            logits += tf.gather(batch_logits, tf.gather(cells.batch_of_cell, columns), axis=1)
        auroc.count(logits, *counted)

    def _weights(self, batch: Batch) -> Cells:
        head, batch_of_cell = self.network.cell_head, self.network.batch_of_cell
        if self.draws is None:
            return Cells(tf.convert_to_tensor(head.kernel), tf.convert_to_tensor(head.bias), batch_of_cell)
        drawn_batches = None if batch_of_cell is None else tf.gather(batch_of_cell, batch.cells)
        return Cells(tf.gather(head.kernel.value, batch.cells), tf.gather(head.bias.value, batch.cells), drawn_batches)

    def _batch_of_all(self, rows: NDArray[np.intp]) -> Batch:
        codes, peak, cell = self.prepared.batch(rows)
        return Batch(codes, *in_blocks(peak, cell, self.prepared.n_cells, self.block), np.zeros(0, np.int32))

    def _batch_of(self, rows: NDArray[np.intp], cells: Numbers) -> Batch:
        assert self.draws is not None
        peak, cell = self.draws.entries(rows, cells)
        return Batch(self.prepared.sequences[rows], *in_blocks(peak, cell, len(cells), self.block), cells)
