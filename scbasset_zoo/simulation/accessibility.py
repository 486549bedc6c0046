"""True accessibility of peaks in cells, and the best AUROC that a prediction of it can have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit


def true_logits(
    activities: NDArray[np.float32],
    depth: NDArray[np.float32],
    strengths: NDArray[np.float32],
    base: NDArray[np.float32] | np.float32,
) -> NDArray[np.float32]:
    """Return the logits of the true accessibility, cells x peaks.

    Parameters
    ----------
    activities : (n_cells, n_tfs)
    depth : (n_cells,)
    strengths : (n_peaks, n_tfs)
    base : (n_peaks,) or a number
        Logits that are added to each peak.
    """
    logits: NDArray[np.float32] = activities @ strengths.T
    logits += base
    logits += np.log(depth)[:, None]
    return logits


def solve_intercept(
    activities: NDArray[np.float32],
    depth: NDArray[np.float32],
    strengths: NDArray[np.float32],
    base: NDArray[np.float32],
    density: float,
) -> float:
    """Return the intercept for which the mean accessibility is `density`, solved on evenly spaced cells and peaks."""
    cell = evenly_spaced(depth, 1_000)
    peak = evenly_spaced(strengths @ activities[cell].mean(axis=0) + base, 4_000)
    logits = true_logits(activities[cell], depth[cell], strengths[peak], base[peak])
    return float(brentq(lambda x: expit(logits + np.float32(x)).mean(dtype=np.float64) - density, -40, 40, xtol=1e-4))


def evenly_spaced(values: NDArray[np.float32], at_most: int) -> NDArray[np.intp]:
    """Return the positions of at most `at_most` values, evenly spaced in the order of the values."""
    middles = (np.arange(min(len(values), at_most)) + 0.5) * (len(values) / min(len(values), at_most))
    return np.argsort(values)[middles.astype(np.intp)]


def expected_auroc(scores: NDArray[np.float32], probabilities: NDArray[np.float32]) -> float:
    """Return the expected AUROC of scores (cells x peaks), as a mean over cells, for labels drawn from the probabilities."""
    order = np.argsort(scores, axis=1)
    p = np.take_along_axis(probabilities.astype(np.float64), order, axis=1)
    below = np.cumsum(1 - p, axis=1) - (1 - p)
    pairs = p.sum(axis=1) * (1 - p).sum(axis=1) - (p * (1 - p)).sum(axis=1)
    return float(np.mean((p * below).sum(axis=1) / pairs))
