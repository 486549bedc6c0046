"""Convolutions with few products are those of TensorFlow: values and gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training import slices  # noqa: E402
from scbasset_zoo.training.architecture import Architecture, Network  # noqa: E402
from scbasset_zoo.training.convolution import Convolution, convolve  # noqa: E402


def arrays(n, length, width, n_in, n_out, seed=0):
    """Input, kernel and gradient of the output."""
    rng = np.random.default_rng(seed)
    shapes = (n, length, n_in), (width, n_in, n_out), (n, length, n_out)
    return [tf.constant(rng.normal(size=shape)) for shape in shapes]


def with_gradients(compute, x, kernel, upstream):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = compute(x, kernel)
    return y, *tape.gradient(y, [x, kernel], upstream)


def direct(x, kernel):
    return tf.nn.conv1d(x, kernel, 1, "SAME")


def assert_same(x, kernel, upstream, tolerance):
    """Errors are at most a multiple of the root of the mean square of the values, which are computed in float64."""
    expected = with_gradients(direct, x, kernel, upstream)
    ours = with_gradients(tf.function(convolve), *(tf.cast(tensor, tf.float32) for tensor in (x, kernel, upstream)))
    for one, other in zip(map(np.asarray, ours), map(np.asarray, expected), strict=True):
        assert one.shape == other.shape
        scale = np.sqrt(np.mean(np.square(other)))
        assert np.abs(one - other).max() <= tolerance * scale


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(2, 8), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_values_and_gradients_of_any_shape(n, length, width, n_in, n_out, peaks_in_slice):
    """Also of lengths that are not whole tiles, or shorter than the kernel, and of a last slice with fewer peaks."""
    tensors = arrays(n, length, width, n_in, n_out)
    before, slices.SLICE_BYTES = slices.SLICE_BYTES, 4 * length * min(n_in, n_out) * peaks_in_slice
    try:
        # A sum of a few products may be near 0 itself; those of 14 coefficients round most.
        assert_same(*tensors, tolerance=5e-5)
    finally:
        slices.SLICE_BYTES = before


def test_rounding_in_a_layer_of_the_published_network():
    """TensorFlow's own sums in float32 are within 3e-6 of the exact ones here."""
    assert_same(*arrays(9, 112, 5, 323, 363), tolerance=3e-5)


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch):
    monkeypatch.setattr("scbasset_zoo.training.convolution.sees_gpu", lambda: False)


def test_a_step_of_training_uses_it_in_wide_layers_alone(monkeypatch):
    used = []
    monkeypatch.setattr(
        "scbasset_zoo.training.convolution.convolve", lambda x, kernel: used.append(kernel.shape) or direct(x, kernel)
    )
    for width in (1.0, 0.1):
        Network(Architecture(3, width=width))(tf.zeros((2, 1344, 4)), training=True)
    assert [tuple(shape) for shape in used] == [
        (5, 288, 288), (5, 288, 323), (5, 323, 363), (5, 363, 407), (5, 407, 456), (5, 456, 512),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kernel_size", "dtype", "training", "on_gpu"),
    [(9, "float32", True, False), (5, "mixed_bfloat16", True, False), (5, "float32", False, False), (5, "float32", True, True)],
)
def test_otherwise_keras_computes(kernel_size, dtype, training, on_gpu, monkeypatch):
    monkeypatch.setattr("scbasset_zoo.training.convolution.convolve", None)
    monkeypatch.setattr("scbasset_zoo.training.convolution.sees_gpu", lambda: on_gpu)
    layer = Convolution(128, kernel_size, dtype=dtype, name="conv", kernel_initializer="zeros")
    layer(tf.zeros((2, 14, 128)), training=training)
