"""Computes for a slice of a batch at a time, so that what is between takes the memory of a slice and stays in the caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from scbasset_zoo.training.sequential_loop import sequential_loop

# Float32 values of a slice of a batch: of some sixteen peaks in the second layer of the published network.
SLICE_BYTES = 8 << 20


def in_slices(
    compute: Callable[[slice], Sequence[tf.Tensor]],
    n: tf.Tensor,
    length: int,
    channels: int,
    dtype: tf.DType,
    *sums: tf.TensorShape,
) -> tuple[tf.Tensor, ...]:
    """Compute a tensor of shape (n, length, channels) for a slice of its rows at a time.

    Parameters
    ----------
    compute : callable
        Takes a slice of the rows. Returns these rows of the result, then an addend for each sum.
    n : int tensor
    length, channels : int
    dtype : tf.DType
    *sums : tf.TensorShape
        Shapes of float32 sums over all slices.

    Returns
    -------
    tuple of tensors
        The result and the sums.
    """
    n_in_slice = max(1, SLICE_BYTES // (4 * length * channels))
    result = tf.raw_ops.Empty(shape=(n, length, channels), dtype=dtype)

    def step(first: tf.Tensor, result: tf.Tensor, *before: tf.Tensor) -> tuple[tf.Tensor, ...]:
        last = tf.minimum(first + n_in_slice, n)
        rows, *addends = compute(slice(first, last))
        result = tf.raw_ops.InplaceUpdate(x=result, i=tf.range(first, last), v=rows)
        return last, result, *(total + addend for total, addend in zip(before, addends, strict=True))

    state = (tf.constant(0), result, *(tf.zeros(shape) for shape in sums))
    _, result, *totals = sequential_loop(lambda first, *_: first < n, step, state)
    return tf.ensure_shape(result, (None, length, channels)), *totals
