"""Short convolutions are exact, take few products, and round little in float32."""

import numpy as np
import pytest

from scbasset_zoo.short_convolution import short_convolution, supports


@pytest.mark.parametrize("k", range(1, 15))
def test_it_is_the_convolution(k):
    rng = np.random.default_rng(k)
    for n in range(1, 30):
        way = short_convolution(n, k)
        x, w = rng.normal(size=n), rng.normal(size=k)
        products = (way.signal @ x) * np.repeat(way.kernel @ w, way.n_blocks)
        np.testing.assert_allclose(way.output @ products, np.convolve(x, w), rtol=0, atol=1e-9)


def test_products_are_fewer_than_of_the_direct_sum():
    assert [len(short_convolution(n, 5).signal) for n in range(1, 12)] == [5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 20]
    for n in range(1, 40):
        for k in range(1, 8):
            assert len(short_convolution(n, k).signal) <= n * k


@pytest.mark.parametrize("k", range(1, 15))
def test_float32_rounds_within_some_times_the_direct_sum(k):
    rng, channels = np.random.default_rng(k), 64
    for n in (*range(1, 16 - k), 20):
        x, w = rng.normal(size=(200, channels, n)), rng.normal(size=(200, channels, k))
        exact = np.array([sum(np.convolve(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(x, w, strict=True)])
        way = short_convolution(n, k)
        signal = (x.astype(np.float32) @ way.signal.T.astype(np.float32)).transpose(2, 0, 1)
        kernel = np.repeat((w @ way.kernel.T).astype(np.float32).transpose(2, 0, 1), way.n_blocks, axis=0)
        products = (signal * kernel).sum(axis=2)
        error = way.output.astype(np.float32) @ products - exact.T
        # The direct sum's error is 3e-7 of its values; the worst set of points, for 14 coefficients, has 2.8e-6.
        assert np.sqrt((error**2).mean() / (exact**2).mean()) < 5e-6


def test_kernels_wider_than_the_points_are_refused():
    assert supports(1)
    assert supports(14)
    assert not supports(0)
    assert not supports(15)
