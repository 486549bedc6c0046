"""The cell head with a row for each cell, for many cells: blocks of cells and drawn cells are slices of it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class CellRows(keras.layers.Layer):
    """Dense layer from peak embeddings to cells whose kernel is stored cells first, so that a cell is one piece of memory.

    It starts with the weights that Keras' ``Dense`` would have.

    Parameters
    ----------
    n_cells : int
    embedding_size : int
    seed : int
        Seed of the initial weights.
    """

    def __init__(self, n_cells: int, embedding_size: int, seed: int):
        super().__init__(name="cell_head", dtype="float32")
        self._shape, self._seed = (n_cells, embedding_size), seed

    def build(self, input_shape: Any) -> None:
        def transposed(shape: Any, dtype: Any = None) -> tf.Tensor:
            return tf.transpose(keras.initializers.HeNormal(seed=self._seed)(shape[::-1], dtype))

        self.kernel = self.add_weight(shape=self._shape, initializer=transposed, name="kernel")
        self.bias = self.add_weight(shape=self._shape[:1], initializer="zeros", name="bias")

    def call(self, peak_embedding: tf.Tensor) -> tf.Tensor:
        return tf.matmul(peak_embedding, self.kernel, transpose_b=True) + self.bias


def is_of_cells(name: str, array: Any) -> bool:
    """Return whether a named array is the kernel of the cells, or one of its means in the optimiser."""
    return array.ndim == 2 and ("/cell_head/kernel" in name or "_cell_head_kernel_" in name)
