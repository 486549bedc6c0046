"""The scBasset network in Keras 3, layer for layer as published.

Yuan & Kelley, Nature Methods 2022 (doi 10.1038/s41592-022-01562-8), Methods, "Model architecture". The published code
orders a block GELU -> convolution -> batch normalisation -> max pool, so the first GELU acts on the one-hot input. This
network has the same order, so that published weights can be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from scbasset_zoo.training.cell_rows import CellRows
from scbasset_zoo.training.convolution import Convolution
from scbasset_zoo.training.layers import BatchNormalization, Dropout, NormPoolGelu, gelu
from scbasset_zoo.training.replicas import Share

SEQUENCE_LENGTH = 1344
# filters, kernel width, pool width of each block
BLOCKS = ((288, 17, 3), (288, 5, 2), (323, 5, 2), (363, 5, 2), (407, 5, 2), (456, 5, 2), (512, 5, 2), (256, 1, 1))


@dataclass(frozen=True)
class Architecture:
    """The sizes that determine the shape of a network.

    Parameters
    ----------
    n_cells : int
        Number of cells; each is one output.
    n_batches : int
        Number of experimental batches of the batch-corrected variant; 0 for the plain one.
    embedding_size : int
        Length of the peak embedding and of the cell embeddings.
    width : float
        Factor on the number of filters of every convolution; 1 is the published network.
    sequence_length : int
        Window in bp.
    """

    n_cells: int
    n_batches: int = 0
    embedding_size: int = 32
    width: float = 1.0
    sequence_length: int = SEQUENCE_LENGTH

    @property
    def blocks(self) -> list[tuple[int, int, int]]:
        """Filters, kernel width and pool width of each convolution block."""
        return [(max(1, round(filters * self.width)), kernel, pool) for filters, kernel, pool in BLOCKS]


class Network(keras.Model):
    """The scBasset network: it computes a logit of accessibility for each cell from a window of DNA.

    Parameters
    ----------
    architecture : Architecture
    batch_of_cell : integer array of shape (n_cells,), optional
        Batch of each cell; required if ``architecture.n_batches`` is not 0.
    precision : {"float32", "bfloat16"}
        Precision of the activations and products of the trunk. Weights, batch statistics, logits and loss are float32.
    seed : int
        Seed of the initial weights and of dropout.
    cells_in_rows : bool
        Store a row for each cell in the head, for training in blocks of cells. The network computes the same.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        batch_of_cell: NDArray[np.integer] | None = None,
        precision: str = "float32",
        seed: int = 0,
        cells_in_rows: bool = False,
    ):
        super().__init__(name="scbasset", dtype="float32")
        self.architecture = architecture
        self.trunk = _trunk(architecture, precision, seed)
        dense = {"dtype": "float32", "kernel_initializer": keras.initializers.HeNormal(seed=seed + 100)}
        self.cell_head: keras.layers.Layer
        if cells_in_rows:
            self.cell_head = CellRows(architecture.n_cells, architecture.embedding_size, seed + 100)
        else:
            self.cell_head = keras.layers.Dense(architecture.n_cells, name="cell_head", **dense)
        self.batch_of_cell: tf.Tensor | None = None
        self.batch_head: keras.layers.Dense | None = None
        if architecture.n_batches:
            assert batch_of_cell is not None
            dense["kernel_initializer"] = keras.initializers.HeNormal(seed=seed + 101)
            self.batch_head = keras.layers.Dense(architecture.n_batches, name="batch_head", **dense)
            self.batch_of_cell = tf.constant(batch_of_cell, tf.int32)
        self(tf.zeros((1, architecture.sequence_length, 4), tf.float32))

    def call(self, sequence: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the logits (n, n_cells) of one-hot windows (n, sequence_length, 4)."""
        return self.logits(self.trunk(sequence, training=training))

    def logits(self, peak_embedding: tf.Tensor) -> tf.Tensor:
        """Return the logits (n, n_cells) of peak embeddings (n, embedding_size), with the batch path added if there is one."""
        peak_embedding = tf.cast(peak_embedding, tf.float32)
        logits = self.cell_head(peak_embedding)
        if self.batch_head is not None:
            logits += tf.matmul(self.batch_head(peak_embedding), self.batch_by_cell)
        return logits

    @property
    def batch_by_cell(self) -> tf.Tensor:
        """Ones where a cell is of a batch, float32 (n_batches, n_cells)."""
        return tf.one_hot(self.batch_of_cell, self.architecture.n_batches, axis=0, dtype=tf.float32)

    def cells(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return kernel (embedding_size, n_cells) and intercept (n_cells,) of the cell path."""
        kernel = np.asarray(self.cell_head.kernel)
        return kernel.T if isinstance(self.cell_head, CellRows) else kernel, np.asarray(self.cell_head.bias)

    def set_cells(self, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """Set what :meth:`cells` returns."""
        self.cell_head.kernel.assign(kernel.T if isinstance(self.cell_head, CellRows) else kernel)
        self.cell_head.bias.assign(bias)

    def head(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return embedding (n_cells, embedding_size) and intercept (n_cells,) of each cell, with the effects of its batch."""
        kernel, bias = self.cells()
        if self.batch_head is not None:
            batch_by_cell = np.asarray(self.batch_by_cell)
            kernel = kernel + np.asarray(self.batch_head.kernel) @ batch_by_cell
            bias = bias + np.asarray(self.batch_head.bias) @ batch_by_cell
        return np.ascontiguousarray(kernel.T), bias

    def expect_parts(self, n_parts: int) -> None:
        """Say in how many parts a batch will come, for the moving statistics of batch normalisation."""
        for layer in self.trunk.layers:
            if isinstance(layer, BatchNormalization):
                layer.expect_parts(n_parts)

    def restart_dropout(self, seed: int, step: tf.Tensor, share: Share | None = None) -> None:
        """Make the next dropout mask depend on `seed` and `step` alone, so that a resumed run repeats it.

        With a share of a batch, the mask is the share of that of the whole batch.
        """
        for layer in self.trunk.layers:
            if isinstance(layer, Dropout):
                layer.share = share
                layer.seed_generator.state.assign(tf.cast(tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)]), "uint32"))


def n_trainable(network: Network) -> int:
    """Return the number of trainable parameters: 4,513,960 + 33 n_cells for the published shape."""
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def _trunk(architecture: Architecture, precision: str, seed: int) -> keras.Model:
    policy = keras.DTypePolicy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    sequence = keras.Input((architecture.sequence_length, 4), dtype="float32", name="sequence")
    x = keras.layers.Activation(gelu, dtype=policy, name="gelu")(sequence)
    for block, (filters, kernel, pool) in enumerate(architecture.blocks):
        initializer = keras.initializers.HeNormal(seed=seed + block)
        x = Convolution(filters, kernel, dtype=policy, name=f"conv_{block}", kernel_initializer=initializer)(x)
        # The GELU is that of the next block, or of the dense layer.
        x = NormPoolGelu(f"conv_{block}_norm", pool)(x)
    # Keras takes the order of axes from the user's settings unless a layer states it.
    x = keras.layers.Flatten(dtype=policy, name="flatten", data_format="channels_last")(x)
    x = keras.layers.Dense(
        architecture.embedding_size, use_bias=False, dtype=policy, name="bottleneck",
        kernel_initializer=keras.initializers.HeNormal(seed=seed + len(BLOCKS)),
    )(x)  # fmt: skip
    x = BatchNormalization(name="bottleneck_norm")(x)
    x = Dropout(0.2, dtype=policy, seed=seed, name="dropout")(x)
    x = keras.layers.Activation(gelu, dtype="float32", name="peak_embedding")(x)
    trunk = keras.Model(sequence, x, name="trunk")
    trunk.dtype_policy = keras.DTypePolicy("float32")
    return trunk
