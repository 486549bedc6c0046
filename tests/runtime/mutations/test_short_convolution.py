"""Short convolutions are exact, take few products, and round little in float32."""

import numpy as np
import pytest

from scbasset_zoo.runtime.mutations.short_convolution import short_convolution, supports


@pytest.mark.parametrize("k", range(1, 12))
def test_it_is_the_convolution(k):
    rng = np.random.default_rng(k)
    for n in range(1, 30):
        way = short_convolution(n, k)
        x, w = rng.normal(size=n), rng.normal(size=k)
        products = (way.signal @ x) * np.repeat(way.kernel @ w, way.n_blocks)
        np.testing.assert_allclose(way.output @ products, np.convolve(x, w), rtol=0, atol=1e-11)


def test_products_are_fewer_than_of_the_direct_sum():
    assert [len(short_convolution(n, 5).signal) for n in (1, 2, 3, 4, 5, 6, 7)] == [5, 6, 7, 8, 10, 11, 12]
    for n in range(1, 40):
        for k in range(1, 8):
            assert len(short_convolution(n, k).signal) <= n * k


@pytest.mark.parametrize("n", [1, 3, 6, 7, 15])
def test_float32_rounds_within_some_times_the_direct_sum(n):
    rng = np.random.default_rng(n)
    channels, k = 64, 5
    x, w = rng.normal(size=(500, channels, n)), rng.normal(size=(500, channels, k))
    exact = np.array([sum(np.convolve(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(x, w, strict=True)])
    way = short_convolution(n, k)
    signal = (x.astype(np.float32) @ way.signal.T.astype(np.float32)).transpose(2, 0, 1)
    kernel = np.repeat((w @ way.kernel.T).astype(np.float32).transpose(2, 0, 1), way.n_blocks, axis=0)
    products = (signal * kernel).sum(axis=2)
    error = way.output.astype(np.float32) @ products - exact.T
    # The direct sum's error is 3e-7 of its values; the worst set of points used here, 12 for n = 7, has 3e-6.
    assert np.sqrt((error**2).mean() / (exact**2).mean()) < 6e-6


def test_kernels_wider_than_the_points_are_refused():
    assert supports(1)
    assert supports(11)
    assert not supports(0)
    assert not supports(12)
