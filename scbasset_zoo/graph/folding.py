"""Folds batch normalisation into the layer before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def fold_batch_normalisation(
    kernel: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float = 1e-3
) -> tuple[Array, Array]:
    """Fold batch normalisation into the layer before it, which has no bias. The computation is in float64.

    Parameters
    ----------
    kernel : array of shape (..., channels out)
        Weights of the layer.
    gamma, beta, mean, variance : arrays of shape (channels out,)
        Scale, offset and moving statistics of the normalisation.
    epsilon : float
        Added to the variance.

    Returns
    -------
    kernel, bias : float32 arrays of shapes (..., channels out) and (channels out,)
        The layer with these weights gives the same output without normalisation.
    """
    k, g, b, m, v = (np.asarray(array, dtype=np.float64) for array in (kernel, gamma, beta, mean, variance))
    scale = g / np.sqrt(v + epsilon)
    return (k * scale).astype(np.float32), (b - m * scale).astype(np.float32)
