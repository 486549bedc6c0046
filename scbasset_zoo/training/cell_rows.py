"""The cell head with a row for each cell, for many cells: blocks of cells and drawn cells are slices of it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
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

        def transposed(shape: Any, dtype: Any = None) -> tf.Tensor:
            return tf.transpose(keras.initializers.HeNormal(seed=seed)(shape[::-1], dtype))

        self.kernel = self.add_weight(shape=(n_cells, embedding_size), initializer=transposed, name="kernel")
        self.bias = self.add_weight(shape=(n_cells,), initializer="zeros", name="bias")
        self.built = True

    def call(self, peak_embedding: tf.Tensor) -> tf.Tensor:
        return tf.matmul(peak_embedding, self.kernel, transpose_b=True) + self.bias


def is_kept_in_rows(name: str, variable: Any) -> bool:
    """Return whether a named weight, or its mean gradient, has a row for each cell here and a column for each in files."""
    return len(variable.shape) == 2 and ("/cell_head/kernel" in name or "_cell_head_kernel_" in name)


def columns_of(variable: Any) -> np.ndarray[Any, Any]:
    """Return a variable with a row for each cell as an array with a column for each, without copying it again."""
    return np.asarray(variable).T
