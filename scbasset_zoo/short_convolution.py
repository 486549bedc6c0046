"""Toom-Cook convolution: a short signal and a short kernel are convolved with few multiplications.

A convolution is a product of two polynomials. A polynomial is determined by its values at as many points as it has
coefficients. So both factors are evaluated at points, the values are multiplied, and the product is interpolated. In a network
each of these multiplications is a product of matrices of channels, which takes nearly all the time: six positions and a kernel
of five need 10 of them instead of 30. The points are chosen so that the rounding error of float32 stays within some times that of
the direct sum. See Blahut, Fast Algorithms for Signal Processing (2010), chapter 5; Winograd, Arithmetic Complexity of
Computations (1980).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_FEW_POINTS = (0.0, np.inf, 1.0, -1.0, 2.0, -0.5, -2.0, 0.5)
# Of more coefficients: the points beside 0 and infinity. They minimise the sum of squares, over outputs and products, of what a
# rounding error of a product adds to an output (Nelder-Mead; to two decimals). Where two are missing, the points are also i and
# -i, which need three real products for two coefficients, but round less.
_MANY_POINTS = {
    9: (-2.9, -1.29, -0.78, -0.345, 0.59, 1.0, 1.68),
    10: (-2.4, -1.25, -0.8, -0.42, 0.42, 0.8, 1.25, 2.4),
    11: (-2.6, -1.24, -0.81, -0.38, 0.64, 1.0, 1.57),
    12: (-2.2, -1.21, -0.83, -0.46, 0.46, 0.83, 1.21, 2.2),
    13: (-3.1, -1.45, -1.0, -0.69, -0.32, 0.54, 0.85, 1.18, 1.85),
    14: (-2.6, -1.4, -1.0, -0.72, -0.39, 0.39, 0.72, 1.0, 1.4, 2.6),
}
_MAX_COEFFICIENTS = max(_MANY_POINTS)


@dataclass(frozen=True)
class ShortConvolution:
    """Three matrices that convolve: ``output @ ((signal @ x) * (kernel @ w))`` is ``np.convolve(x, w)``.

    The signal is cut into blocks. Consecutive rows of `signal` belong to the blocks that one row of `kernel` multiplies.

    Parameters
    ----------
    signal : float64 array of shape (n_products * n_blocks, n)
    kernel : float64 array of shape (n_products, k)
        Each row multiplies `n_blocks` successive rows of `signal @ x`.
    output : float64 array of shape (n + k - 1, n_products * n_blocks)
    """

    signal: Matrix
    kernel: Matrix
    output: Matrix

    @property
    def n_products(self) -> int:
        """Number of rows of `kernel`."""
        return len(self.kernel)

    @property
    def n_blocks(self) -> int:
        """Number of blocks of the signal."""
        return len(self.signal) // len(self.kernel)


def supports(k: int) -> bool:
    """Return True if there are enough points for kernels of `k` positions."""
    return 1 <= k <= _MAX_COEFFICIENTS


@functools.cache
def short_convolution(n: int, k: int) -> ShortConvolution:
    """Return the convolution of `n` positions with a kernel of `k` positions that needs the fewest products.

    Parameters
    ----------
    n : int
        Number of positions of the signal.
    k : int
        Number of positions of the kernel; see :func:`supports`.
    """
    sizes = range(1, min(n, _MAX_COEFFICIENTS - k + 1) + 1)
    size = min(sizes, key=lambda size: (-(-n // size) * _n_products(size + k - 1), size))
    signal, kernel, output = _toom_cook(size, k)
    n_blocks, n_products = -(-n // size), len(kernel)
    all_signal = np.zeros((n_products, n_blocks, n_blocks * size))
    all_output = np.zeros((n_blocks * size + k - 1, n_products, n_blocks))
    for block in range(n_blocks):
        start = block * size
        all_signal[:, block, start : start + size] = signal
        all_output[start : start + size + k - 1, :, block] = output
    return ShortConvolution(all_signal[:, :, :n].reshape(-1, n), kernel, all_output[: n + k - 1].reshape(n + k - 1, -1))


def _points(n_coefficients: int) -> tuple[tuple[float, ...], bool]:
    """Return the real points, and whether i and -i are used as well."""
    if n_coefficients <= len(_FEW_POINTS):
        return _FEW_POINTS[:n_coefficients], False
    points = (0.0, np.inf, *_MANY_POINTS[n_coefficients])
    return points, len(points) < n_coefficients


def _n_products(n_coefficients: int) -> int:
    return n_coefficients + _points(n_coefficients)[1]


def _toom_cook(n: int, k: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return the matrices for one block: (products, n), (products, k), (n + k - 1, products)."""
    n_coefficients = n + k - 1
    points, pair = _points(n_coefficients)
    evaluations = [_at_points(points, degree) for degree in (n, k, n_coefficients)]
    values_from_products = np.eye(len(points))
    if pair:
        # Karatsuba: ac, bd and (a + b)(c + d) give the real and the imaginary part of (a + bi)(c + di).
        for axis in (0, 1):
            rows = _modulo_x2_plus_1(evaluations[axis].shape[1])
            evaluations[axis] = np.vstack([evaluations[axis], rows, rows.sum(axis=0)])
        evaluations[2] = np.vstack([evaluations[2], _modulo_x2_plus_1(n_coefficients)])
        values_from_products = np.zeros((n_coefficients, n_coefficients + 1))
        values_from_products[: len(points), : len(points)] = np.eye(len(points))
        values_from_products[-2:, -3:] = [[1, -1, 0], [-1, -1, 1]]
    signal, kernel, values = evaluations
    return signal, kernel, np.asarray(np.linalg.solve(values, values_from_products), np.float64)


def _at_points(points: tuple[float, ...], n_coefficients: int) -> Matrix:
    """Return rows that evaluate a polynomial at each point. At infinity this is its leading coefficient."""
    powers = np.arange(n_coefficients)
    last = np.eye(n_coefficients)[-1]
    return np.array([last if np.isinf(point) else point**powers for point in points])


def _modulo_x2_plus_1(n_coefficients: int) -> Matrix:
    """Return two rows that reduce a polynomial modulo x^2 + 1: its real and its imaginary part at i."""
    powers = 1j ** np.arange(n_coefficients)
    return np.array([powers.real.round(), powers.imag.round()])
