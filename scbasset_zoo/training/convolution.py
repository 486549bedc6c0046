"""The convolutions of the trunk, computed with less than half of the multiplications in training on a CPU.

The convolution is that of Keras. A tile of seven outputs of a kernel of five positions needs 12 products of matrices of channels
in place of 35. This is the transposed form of :mod:`~scbasset_zoo.short_convolution`, which Lavin & Gray (Fast Algorithms for
Convolutional Neural Networks, CVPR 2016) use in two dimensions: with the matrices S (signal), K (kernel) and O (output) of a short
convolution, the outputs of a tile are ``S.T @ ((O.T @ inputs) * (K @ kernel))``. Everything is linear, so the gradients are
products with the transposed matrices.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from scbasset_zoo.short_convolution import short_convolution, supports
from scbasset_zoo.training.slices import in_slices
from scbasset_zoo.training.training_device import sees_gpu

# Outputs of a tile. All lengths of the published network are multiples of it, and rounding errors stay small (see the tests).
_TILE = 7
# Kernels with fewer weights at a position are faster as they are.
_FEWEST_WEIGHTS = 128**2


class Convolution(keras.layers.Conv1D):
    """Convolution over (n, length, channels), of stride 1 and padded to the same length, without bias.

    In training in float32 on a CPU, :func:`convolve` computes it if it is large. Otherwise Keras does.
    """

    def __init__(self, filters: int, kernel_size: int, *, name: str, dtype: Any, kernel_initializer: keras.Initializer):
        super().__init__(
            filters, kernel_size, padding="same", use_bias=False, data_format="channels_last", name=name, dtype=dtype,
            kernel_initializer=kernel_initializer,
        )  # fmt: skip

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training and self._has_few_products() and not sees_gpu():
            return convolve(x, tf.convert_to_tensor(self.kernel))
        return super().call(x)

    def _has_few_products(self) -> bool:
        width, n_in, n_out = self.kernel.shape
        is_short = width > 1 and supports(width + _TILE - 1)
        return is_short and n_in * n_out >= _FEWEST_WEIGHTS and self.compute_dtype == "float32"


def convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve with few multiplications, some peaks at a time. This is slower than the direct sum for fewer than some eight peaks.

    Parameters
    ----------
    x : float32 tensor of shape (n, length, channels in)
    kernel : float32 tensor of shape (width, channels in, channels out)
        Of at most eight positions.

    Returns
    -------
    float32 tensor of shape (n, length, channels out)
    """
    width, n_in, n_out = kernel.shape
    length, n = x.shape[1], tf.shape(x)[0]
    way = short_convolution(_TILE, width)
    of_outputs, of_kernel, of_inputs = (tf.constant(matrix, tf.float32) for matrix in (way.signal, way.kernel, way.output))
    n_products = way.n_products
    n_tiles = -(-length // _TILE)
    overlap, before = width - 1, (width - 1) // 2
    padded = (n_tiles + 1) * _TILE
    # Positions that the tiles read, (positions of a tile, 1, tiles).
    positions = tf.range(_TILE + overlap)[:, None, None] + _TILE * tf.range(n_tiles)

    def evaluated_inputs(x: tf.Tensor) -> tf.Tensor:
        """Return ``O.T @ inputs`` of all tiles, (products, n * tiles, channels)."""
        rows = tf.reshape(tf.pad(x, [[0, 0], [before, padded - before - length], [0, 0]]), (-1, n_in))
        tiles = tf.gather(rows, positions + padded * tf.range(tf.shape(x)[0])[:, None])
        return tf.reshape(tf.matmul(of_inputs, _flat(tiles), transpose_a=True), (n_products, -1, n_in))

    def evaluated_gradients(upstream: tf.Tensor) -> tf.Tensor:
        """Return ``S @ gradients`` of all tiles, (products, n * tiles, channels)."""
        tiles = tf.reshape(tf.pad(upstream, [[0, 0], [0, n_tiles * _TILE - length], [0, 0]]), (-1, n_tiles, _TILE, n_out))
        return tf.reshape(of_outputs @ _flat(tf.transpose(tiles, (2, 0, 1, 3))), (n_products, -1, n_out))

    @tf.custom_gradient
    def compute(x: tf.Tensor, kernel: tf.Tensor):  # type: ignore[no-untyped-def]
        evaluated_kernel = tf.reshape(of_kernel @ _flat(kernel), (n_products, n_in, n_out))

        def of_rows(rows: slice) -> tuple[tf.Tensor]:
            products = evaluated_inputs(x[rows]) @ evaluated_kernel
            tiles = tf.reshape(tf.matmul(of_outputs, _flat(products), transpose_a=True), (_TILE, -1, n_tiles, n_out))
            return (_joined(tiles)[:, :length],)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            def of_rows(rows: slice) -> tuple[tf.Tensor, tf.Tensor]:
                of_products = evaluated_gradients(upstream[rows])
                of_kernel_rows = tf.matmul(evaluated_inputs(x[rows]), of_products, transpose_a=True)
                of_tiles = of_inputs @ _flat(tf.matmul(of_products, evaluated_kernel, transpose_b=True))
                of_tiles = tf.reshape(of_tiles, (_TILE + overlap, -1, n_tiles, n_in))
                # The last positions of a tile are the first ones of the next.
                first = tf.pad(of_tiles[:_TILE], [[0, 0], [0, 0], [0, 1], [0, 0]])
                last = tf.pad(of_tiles[_TILE:], [[0, _TILE - overlap], [0, 0], [1, 0], [0, 0]])
                return _joined(first + last)[:, before : before + length], of_kernel_rows

            # Otherwise TensorFlow allocates the result when the step begins.
            with tf.control_dependencies([upstream]):
                of_x, of_evaluated = in_slices(of_rows, n, length, n_in, x.dtype, evaluated_kernel.shape)
            return of_x, tf.reshape(tf.matmul(of_kernel, _flat(of_evaluated), transpose_a=True), kernel.shape)

        with tf.control_dependencies([x]):
            (y,) = in_slices(of_rows, n, length, n_out, x.dtype)
        return y, gradient

    return compute(x, kernel)


def _flat(x: tf.Tensor) -> tf.Tensor:
    """Reshape `x` to a matrix that keeps the first axis."""
    return tf.reshape(x, (x.shape[0], -1))


def _joined(tiles: tf.Tensor) -> tf.Tensor:
    """Put tiles (positions of a tile, n, tiles, channels) after each other: (n, tiles * positions of a tile, channels)."""
    size, _, n_tiles, channels = tiles.shape
    return tf.reshape(tf.transpose(tiles, (1, 2, 0, 3)), (-1, n_tiles * size, channels))
