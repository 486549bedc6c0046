"""Batch normalisation, max pool and GELU of a block in training on a CPU, in four passes over memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numba.extending import register_jitable

from scbasset_zoo.training.compiled_loops import as_float32, as_stored, compiled, loop_operation, sigmoid
from scbasset_zoo.training.replicas import summed

GELU_SLOPE = 1.702
_SLOPE = np.float32(GELU_SLOPE)
_ZERO, _ONE = np.float32(0), np.float32(1)


def norm_pool_gelu(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, pool: int, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Compute GELU of the max pool of the batch normalisation of `x`, by the statistics of its batch.

    The scale and shift of batch normalisation are monotonic, so the max pool can come before them: it takes the largest value of a
    channel whose scale is positive, and the smallest one of a channel whose scale is negative. Scale, shift and GELU then run on
    the pooled values, which are two or three times fewer; the gradient computes them again. Where replicas share a batch, the
    statistics are those of all shares.

    Parameters
    ----------
    x : float32 or bfloat16 tensor of shape (n, length, channels)
    gamma, beta : float32 tensors of shape (channels,)
    pool : int
        Divides the length.
    epsilon : float

    Returns
    -------
    y : tensor of shape (n, length / pool, channels), of the type of `x`
    mean, variance : float32 tensors of shape (channels,)
        Statistics of the batch, the variance over n. They have no gradient.
    """
    length, n_channels = x.shape[1:]
    n_peaks = tf.shape(x)[0]
    all_values, pooled_values = (((n_peaks, n_positions, n_channels), x.dtype) for n_positions in (length, length // pool))
    of_channels = ((n_peaks, n_channels), tf.float32)

    @tf.custom_gradient
    def compute(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor):  # type: ignore[no-untyped-def]
        pooled, means, squares = loop_operation(
            pool_and_moments, n_peaks, [x, gamma], [pooled_values, of_channels, of_channels], pool
        )
        n_positions = tf.cast(n_peaks * length, tf.float32)
        sums, n = summed([length * tf.reduce_sum(means, 0), n_positions])
        mean = sums / n
        variance = summed(tf.reduce_sum(squares + length * tf.math.squared_difference(means, mean), 0)) / n
        inverse_deviation = tf.math.rsqrt(variance + epsilon)
        scale = gamma * inverse_deviation
        shift = beta - mean * scale
        (y,) = loop_operation(scaled_gelu, n_peaks, [pooled, scale, shift], [pooled_values])

        def gradient(upstream: tf.Tensor, *_: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            slope_sums = loop_operation(sum_slopes, n_peaks, [pooled, scale, shift, upstream], [of_channels, of_channels])
            # Gradients of parameters are those of this replica; all replicas' are added up later.
            of_beta, of_scale = (tf.reduce_sum(of_peaks, 0) for of_peaks in slope_sums)
            of_gamma = (of_scale - mean * of_beta) * inverse_deviation
            of_all_beta, of_all_scale = summed([of_beta, of_scale])
            of_all_gamma = (of_all_scale - mean * of_all_beta) * inverse_deviation
            # Ioffe & Szegedy 2015, section 3: scale * (slope - mean(slope) - normalised x * mean(slope * normalised x)).
            of_square = -scale * inverse_deviation * of_all_gamma / n
            of_mean = -scale * of_all_beta / n - of_square * mean
            inputs = [x, pooled, scale, shift, upstream, of_square, of_mean]
            (of_x,) = loop_operation(unpool_slopes, n_peaks, inputs, [all_values], pool)
            return of_x, of_gamma, of_beta

        return (y, mean, variance), gradient

    return compute(x, gamma, beta)


@compiled
def pool_and_moments(first, last, x, gamma, pooled, means, squares, pool):  # type: ignore[no-untyped-def]
    """Pool by the sign of `gamma`; compute the mean of each peak, and the sum of the squared differences from it."""
    _, n_windows, n_channels = pooled.shape
    length = np.float32(n_windows * pool)
    extreme, difference_sum = np.empty(n_channels, np.float32), np.empty(n_channels, np.float32)
    # Differences from a value of the peak lose no digits where the mean is far from zero.
    origin, square_sum, sign = np.empty(n_channels, np.float32), np.empty(n_channels, np.float32), np.empty(n_channels, np.float32)
    for c in range(n_channels):
        sign[c] = -_ONE if gamma[c] < _ZERO else _ONE
    for peak in range(first, last):
        for c in range(n_channels):
            origin[c] = as_float32(x[peak, 0, c])
            difference_sum[c] = _ZERO
            square_sum[c] = _ZERO
        for window in range(n_windows):
            for k in range(pool):
                position = window * pool + k
                for c in range(n_channels):
                    value = as_float32(x[peak, position, c])
                    difference = value - origin[c]
                    difference_sum[c] += difference
                    square_sum[c] += difference * difference
                    signed = value * sign[c]
                    extreme[c] = signed if k == 0 or signed > extreme[c] else extreme[c]
            for c in range(n_channels):
                pooled[peak, window, c] = as_stored(extreme[c] * sign[c], pooled[peak, window, c])
        for c in range(n_channels):
            mean = difference_sum[c] / length
            means[peak, c] = origin[c] + mean
            squares[peak, c] = square_sum[c] - difference_sum[c] * mean


@compiled
def scaled_gelu(first, last, pooled, scale, shift, y):  # type: ignore[no-untyped-def]
    """Scale, shift and compute GELU in the approximation of the published code, x * sigmoid(1.702 x)."""
    _, n_windows, n_channels = pooled.shape
    for peak in range(first, last):
        for window in range(n_windows):
            for c in range(n_channels):
                z = as_float32(pooled[peak, window, c]) * scale[c] + shift[c]
                y[peak, window, c] = as_stored(z * sigmoid(_SLOPE * z), y[peak, window, c])


@register_jitable
def _slope(value, scale, shift, upstream):  # type: ignore[no-untyped-def]
    """Return the gradient behind GELU of a pooled value."""
    z = value * scale + shift
    share = sigmoid(_SLOPE * z)
    return upstream * (share + _SLOPE * z * share * (_ONE - share))


@compiled
def sum_slopes(first, last, pooled, scale, shift, upstream, sums, sums_by_value):  # type: ignore[no-untyped-def]
    """Sum the slopes over the windows of each peak, also multiplied by the pooled values."""
    _, n_windows, n_channels = pooled.shape
    for peak in range(first, last):
        for c in range(n_channels):
            sums[peak, c] = _ZERO
            sums_by_value[peak, c] = _ZERO
        for window in range(n_windows):
            for c in range(n_channels):
                value = as_float32(pooled[peak, window, c])
                slope = _slope(value, scale[c], shift[c], as_float32(upstream[peak, window, c]))
                sums[peak, c] += slope
                sums_by_value[peak, c] += slope * value


@compiled
def unpool_slopes(first, last, x, pooled, scale, shift, upstream, of_square, of_mean, of_x, pool):  # type: ignore[no-untyped-def]
    """Give the slope of a window to the first place that has its pooled value; add what comes by way of the statistics."""
    _, n_windows, n_channels = pooled.shape
    left = np.empty(n_channels, np.float32)
    for peak in range(first, last):
        for window in range(n_windows):
            for c in range(n_channels):
                value = as_float32(pooled[peak, window, c])
                left[c] = scale[c] * _slope(value, scale[c], shift[c], as_float32(upstream[peak, window, c]))
            for k in range(pool):
                position = window * pool + k
                for c in range(n_channels):
                    value = as_float32(x[peak, position, c])
                    is_pooled = value == as_float32(pooled[peak, window, c])
                    slope = left[c] if is_pooled else _ZERO
                    left[c] = _ZERO if is_pooled else left[c]
                    of_x[peak, position, c] = as_stored(value * of_square[c] + of_mean[c] + slope, of_x[peak, position, c])
