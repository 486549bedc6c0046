"""Compiled loops: their functions, the types that they store, and the same results on any number of cores."""

import numpy as np
import pytest

from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import numba  # noqa: E402
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training import compiled_loops  # noqa: E402
from scbasset_zoo.training.compiled_loops import as_float32, as_stored, compiled, exponential, loop_operation, sigmoid  # noqa: E402
from scbasset_zoo.training.head_loops import head_sums  # noqa: E402
from scbasset_zoo.training.norm_pool_gelu import norm_pool_gelu  # noqa: E402


@compiled
def fill_exponential(first, last, x, y):
    for i in range(first, last):
        y[i] = exponential(x[i])


@compiled
def fill_sigmoid(first, last, x, y):
    for i in range(first, last):
        y[i] = sigmoid(x[i])


@compiled
def double(first, last, x, y):
    for i in range(first, last):
        y[i] = as_stored(np.float32(2) * as_float32(x[i]), y[i])


def run(loop, x, dtype=tf.float32):
    return loop_operation(loop, tf.size(x), [tf.constant(x)], [(x.shape, dtype)])[0].numpy()


def test_exponential_and_sigmoid_are_those_of_numpy_to_rounding():
    x = np.random.default_rng(0).uniform(-87, 87, 100_000).astype(np.float32)
    np.testing.assert_allclose(run(fill_exponential, x), np.exp(x.astype(np.float64)), rtol=6e-6)
    near = x / 20
    np.testing.assert_allclose(run(fill_exponential, near), np.exp(near.astype(np.float64)), rtol=5e-7)
    np.testing.assert_allclose(run(fill_sigmoid, near), 1 / (1 + np.exp(-near.astype(np.float64))), rtol=5e-7)


def test_exponentials_beyond_float32_are_finite_and_positive():
    far = np.array([-1e30, -500, 500, 1e30], dtype=np.float32)
    np.testing.assert_array_equal(run(fill_exponential, far), np.exp2(np.array([-126, -126, 126, 126], np.float32)))
    assert np.isnan(run(fill_exponential, np.array([np.nan], np.float32)))


def test_bfloat16_is_rounded_as_in_numpy():
    """All normal values of bfloat16 and the infinite ones, and numbers between two of them. Smaller ones may become 0."""
    bfloat16 = tf.bfloat16.as_numpy_dtype
    every = np.arange(2**16).astype(np.uint16).view(bfloat16).astype(np.float32)
    every = every[(np.abs(every) >= np.finfo(np.float32).tiny) & ~(np.abs(every) > 2**126) | np.isinf(every)]
    between = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    ties = (np.arange(2**7, 2**14).astype(np.uint32) << 16 | 0x8000).view(np.float32)
    for x in (every, between, ties):
        np.testing.assert_array_equal(run(double, x, tf.bfloat16), (2 * x).astype(bfloat16))
    np.testing.assert_array_equal(run(double, every.astype(bfloat16), tf.bfloat16), (2 * every).astype(bfloat16))


@pytest.mark.parametrize("eager", [False, True])
def test_one_core_and_more_give_the_same_bits(monkeypatch, eager):
    rng = np.random.default_rng(0)
    x, gamma, beta = (tf.constant(rng.normal(size=shape).astype(np.float32)) for shape in ((21, 12, 5), 5, 5))
    upstream = tf.constant(rng.normal(size=(21, 6, 5)).astype(np.float32))
    kernel, bias = (tf.constant(rng.normal(size=shape).astype(np.float32)) for shape in ((700, 5), 700))
    entries = tuple(tf.constant(np.array(numbers, np.int32)) for numbers in ([2, 0], [1, 699], [0] + [1] * 69 + [2]))

    def compute():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, *_ = norm_pool_gelu(x, gamma, beta, pool=2, epsilon=1e-3)
        of_head = head_sums(
            x[:, 0], tf.zeros((21, 1)), kernel, bias, tf.zeros(700, tf.int32), entries, block=10, l2=0.0
        )  # fmt: skip
        return [y, tape.gradient(y, x, upstream), *of_head]

    results = []
    for n_cores in (1, 3):
        monkeypatch.setattr(compiled_loops, "usable_cores", lambda n=n_cores: n)
        results.append(compute() if eager else tf.function(compute, autograph=False)())
    for one, more in zip(*results, strict=True):
        np.testing.assert_array_equal(one, more)


def test_a_value_that_is_not_a_number_is_not_lost():
    x = np.ones((2, 6, 3), np.float32)
    x[1, 4, 1] = np.nan
    y, *_ = norm_pool_gelu(tf.constant(x), tf.ones(3), tf.zeros(3), pool=2, epsilon=1e-3)
    assert np.isnan(y[:, :, 1]).all()
    assert np.isfinite(y[:, :, ::2]).all()


def test_a_logit_that_is_not_a_number_makes_the_loss_not_a_number():
    embedding = np.ones((3, 2), np.float32)
    embedding[1, 0] = np.nan
    no_entries = tuple(tf.constant(np.array(numbers, np.int32)) for numbers in ([], [], [0, 0, 0]))
    weights = tf.ones((7, 2)), tf.zeros(7), tf.zeros(7, tf.int32)
    softplus, *_ = head_sums(tf.constant(embedding), tf.zeros((3, 1)), *weights, no_entries, block=4, l2=0.0)
    np.testing.assert_array_equal(np.isnan(softplus), [False, True, False])


def test_a_batch_without_peaks_has_no_values():
    y, *_ = norm_pool_gelu(tf.zeros((0, 6, 3)), tf.ones(3), tf.zeros(3), pool=2, epsilon=1e-3)
    assert y.shape == (0, 3, 3)


def test_loops_are_compiled_where_the_user_has_switched_numba_off(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    loop = compiled(double.py_func)
    assert run(loop, np.float32([1, 2])).tolist() == [2, 4]
    assert numba.config.DISABLE_JIT == 1
