"""Batch normalisation, max pool and GELU together are the three after each other: values, gradients and statistics."""

import numpy as np
import pytest

from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training.layers import NormPoolGelu  # noqa: E402


def layer(pool, n_channels=7):
    """A layer with scales of both signs."""
    layer, rng = NormPoolGelu("norm", pool), np.random.default_rng(1)
    layer.build((None, 24, n_channels))
    layer.gamma.assign(np.linspace(-1.5, 1.5, n_channels) + 0.1)
    layer.beta.assign(rng.normal(size=n_channels))
    return layer


def plain(x, gamma, beta, pool):
    """The published order, in TensorFlow's own operations, which it differentiates by itself."""
    mean, variance = tf.nn.moments(x, (0, 1))
    y = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
    y = tf.nn.max_pool1d(y, pool, pool, "SAME")
    return y * tf.sigmoid(1.702 * y), mean, variance


def inputs(n=6, length=24, n_channels=7):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(0.7, 2, (n, length, n_channels)).astype(np.float32))


@pytest.mark.parametrize("pool", [1, 2, 3, 5])
def test_values_gradients_and_statistics_are_those_of_the_plain_formulation(pool):
    """With pool 5 the last window is not whole, so the three follow each other."""
    x, ours = inputs(), layer(pool)
    upstream = tf.constant(np.random.default_rng(2).normal(size=(6, -(-24 // pool), 7)).astype(np.float32))
    gamma, beta = tf.constant(np.asarray(ours.gamma)), tf.constant(np.asarray(ours.beta))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(ours)(x, training=True)
    of_ours = tape.gradient(y, [x, ours.gamma.value, ours.beta.value], upstream)
    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        expected, mean, variance = plain(x, gamma, beta, pool)
    of_plain = tape.gradient(expected, [x, gamma, beta], upstream)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    for one, other in zip(of_ours, of_plain, strict=True):
        assert np.abs(one - other).max() < 1e-5 * max(1, np.abs(other).max())
    np.testing.assert_allclose(np.asarray(ours.moving_mean), 0.1 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(ours.moving_variance), 0.9 + 0.1 * variance, rtol=1e-5)


def test_of_equal_values_the_first_gets_the_gradient_as_in_tensorflows_max_pool():
    values = np.random.default_rng(0).integers(-1, 2, (5, 24, 7)).astype(np.float32)
    x, ours = tf.constant(values), layer(3)
    gradients = []
    for compute in (lambda: ours(x, training=True), lambda: plain(x, tf.constant(ours.gamma), tf.constant(ours.beta), 3)[0]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = compute()
        gradients.append(tape.gradient(y, x))
    np.testing.assert_allclose(*gradients, atol=1e-5)


def test_bfloat16_computes_the_same_to_its_precision():
    values, gradients = [], []
    for x in (inputs(), tf.cast(inputs(), tf.bfloat16)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(2)(x, training=True)
        gradient = tape.gradient(y, x, tf.cast(tf.reshape(tf.linspace(-1.0, 1.0, tf.size(y)), tf.shape(y)), y.dtype))
        assert y.dtype == gradient.dtype == x.dtype
        values.append(tf.cast(y, tf.float32))
        gradients.append(tf.cast(gradient, tf.float32))
    np.testing.assert_allclose(*reversed(values), atol=0.05, rtol=0.02)
    # Values that are equal in bfloat16 alone may give the gradient to another place of a window.
    assert np.mean(np.abs(gradients[0] - gradients[1]) < 0.02) > 0.95


def test_at_inference_the_moving_statistics_are_used():
    x, ours = inputs(), layer(2)
    ours.moving_mean.assign(np.full(7, 0.3))
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    theirs.build(x.shape)
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        getattr(theirs, name).assign(getattr(ours, name))
    pooled = tf.nn.max_pool1d(theirs(x), 2, 2, "SAME")
    np.testing.assert_allclose(ours(x), pooled * tf.sigmoid(1.702 * pooled), atol=1e-5)
    assert ours.compute_output_shape((None, 25, 7)) == (None, 13, 7)
