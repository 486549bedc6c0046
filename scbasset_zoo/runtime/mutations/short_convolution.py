"""Convolution of a short signal with a short kernel in few multiplications, by Toom and Cook's evaluation at points.

The product of two polynomials is found from its values at as many points as it has coefficients: both are evaluated there,
multiplied, and interpolated. Where signals carry many channels, the multiplications are matrix products that cost all the
time, and six positions under a kernel of five need 11 of them in place of 30. Points near the unit circle, i and -i
included, keep the rounding of float32 within a few times that of the direct sum. See Blahut, Fast Algorithms for Signal
Processing (2010), chapter 5; Winograd, Arithmetic Complexity of Computations (1980).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_REAL_POINTS = (0.0, np.inf, 1.0, -1.0, 2.0, -0.5, -2.0, 0.5, 1.5)
_MAX_COEFFICIENTS = len(_REAL_POINTS) + 2
# From here on the conjugate pair i, -i (three real products for two coefficients) is worth its third product in accuracy.
_FIRST_COEFFICIENTS_WITH_PAIR = 9


@dataclass(frozen=True)
class ShortConvolution:
    """``output @ ((signal @ x) * (kernel @ w))`` is ``np.convolve(x, w)``.

    The signal is cut into blocks; products of all blocks with one row of `kernel` stand together.

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
        """Rows of `kernel`."""
        return len(self.kernel)

    @property
    def n_blocks(self) -> int:
        """Blocks that the signal is cut into."""
        return len(self.signal) // len(self.kernel)


def supports(k: int) -> bool:
    """Whether there are points enough for kernels of `k` positions."""
    return 1 <= k <= _MAX_COEFFICIENTS


@functools.cache
def short_convolution(n: int, k: int) -> ShortConvolution:
    """The way to convolve `n` positions with a kernel of `k` that needs the fewest products.

    Parameters
    ----------
    n : int
        Positions of the signal.
    k : int
        Positions of the kernel; see :func:`supports`.
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


def _n_products(n_coefficients: int) -> int:
    return n_coefficients + (n_coefficients >= _FIRST_COEFFICIENTS_WITH_PAIR)


def _toom_cook(n: int, k: int) -> tuple[Matrix, Matrix, Matrix]:
    """Matrices for one block: (products, n), (products, k), (n + k - 1, products)."""
    n_coefficients = n + k - 1
    pair = n_coefficients >= _FIRST_COEFFICIENTS_WITH_PAIR
    points = _REAL_POINTS[: n_coefficients - 2 * pair]
    evaluations = [_at_points(points, degree) for degree in (n, k, n_coefficients)]
    values_from_products = np.eye(len(points))
    if pair:
        # Karatsuba's product of a + bi and c + di: from ac, bd and (a + b)(c + d) to the real and imaginary part.
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
    """Rows that evaluate a polynomial at each point; at infinity, its leading coefficient."""
    powers = np.arange(n_coefficients)
    last = np.eye(n_coefficients)[-1]
    return np.array([last if np.isinf(point) else point**powers for point in points])


def _modulo_x2_plus_1(n_coefficients: int) -> Matrix:
    """The two rows that reduce a polynomial modulo x^2 + 1: its real and imaginary part at i."""
    powers = 1j ** np.arange(n_coefficients)
    return np.array([powers.real.round(), powers.imag.round()])
