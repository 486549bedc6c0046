"""True accessibility of peaks in cells, and the AUROC that can be expected of it."""

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
    """The intercept that gives the mean accessibility asked for, solved on cells and peaks spread evenly."""
    cell = evenly_spaced(depth, 1_000)
    peak = evenly_spaced(strengths @ activities[cell].mean(axis=0) + base, 4_000)
    logits = true_logits(activities[cell], depth[cell], strengths[peak], base[peak])
    return float(brentq(lambda x: expit(logits + np.float32(x)).mean(dtype=np.float64) - density, -40, 40, xtol=1e-4))


def evenly_spaced(values: NDArray[np.float32], at_most: int) -> NDArray[np.intp]:
    middles = (np.arange(min(len(values), at_most)) + 0.5) * (len(values) / min(len(values), at_most))
    return np.argsort(values)[middles.astype(np.intp)]


def expected_auroc(scores: NDArray[np.float32], probabilities: NDArray[np.float32]) -> float:
    """Mean over cells of the AUROC to expect of these scores when labels are drawn from these probabilities."""
    order = np.argsort(scores, axis=1)
    p = np.take_along_axis(probabilities.astype(np.float64), order, axis=1)
    below = np.cumsum(1 - p, axis=1) - (1 - p)
    pairs = p.sum(axis=1) * (1 - p).sum(axis=1) - (p * (1 - p)).sum(axis=1)
    return float(np.mean((p * below).sum(axis=1) / pairs))
