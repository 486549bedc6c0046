"""The published network and training recipe in plain Keras layers, to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.inputs import dna


def network(n_cells: int, width: float = 1.0, length: int = 1344) -> Any:
    """Return the published network, compiled. XLA is off because it is slow on a CPU."""
    import keras

    from scbasset_zoo.training.architecture import BLOCKS

    def gelu(x: Any) -> Any:
        return x * keras.ops.sigmoid(1.702 * x)

    start = {"kernel_initializer": "he_normal", "use_bias": False}
    sequence = x = keras.Input((length, 4))
    for filters, kernel, pool in BLOCKS:
        x = keras.layers.Conv1D(round(filters * width), kernel, padding="same", **start)(keras.layers.Activation(gelu)(x))
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        if pool > 1:
            x = keras.layers.MaxPooling1D(pool, padding="same")(x)
    x = keras.layers.Dense(32, **start)(keras.layers.Flatten()(keras.layers.Activation(gelu)(x)))
    x = keras.layers.Dropout(0.2)(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Activation(gelu)(x)
    x = keras.layers.Dense(n_cells, activation="sigmoid", kernel_initializer="he_normal", name="cells")(x)
    model = keras.Model(sequence, x)
    model.compile(keras.optimizers.Adam(0.01, 0.95, 0.9995), keras.losses.BinaryCrossentropy(), jit_compile=False)
    return model


def epoch(
    prepared: Any, rng: np.random.Generator, batch_size: int = 128
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield the one-hot windows and the dense labels of each batch.

    The shift and the strand are drawn once for each batch. The last batch may be smaller.
    """
    order, flank, length = rng.permutation(prepared.rows("train")), prepared.flank, prepared.sequence_length
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        start = flank + int(rng.integers(-3, 4))
        sequence = dna.one_hot(np.asarray(prepared.sequences[rows])[:, start : start + length])
        if rng.random() < 0.5:
            sequence = np.ascontiguousarray(sequence[:, ::-1, ::-1])
        yield sequence, prepared.labels(rows).toarray().astype(np.float32)
