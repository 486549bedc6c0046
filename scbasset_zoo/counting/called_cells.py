"""Calls cells by their number of fragments: barcodes above the steepest drop of the ranked barcodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Limits of the search for the drop: the ratio that a slope is taken over, and what must lie above it.
WINDOW = 1.5
LEAST_CELLS, LEAST_SHARE = 10, 0.2


def steepest_drop(n_fragments: NDArray[np.int64]) -> int | None:
    """Return the number of fragments where the curve of the ranked barcodes drops most steeply: between cells and background.

    The curve is the logarithm of the fragments against the logarithm of the rank. Its slope is taken between n and 1.5 n fragments,
    for each n above which there are ten barcodes and a fifth of all fragments. If several n are equally steep, the middle is taken.

    Parameters
    ----------
    n_fragments : int64 array of shape (n_barcodes,)
        Fragments of each barcode; those without fragments are ignored.

    Returns
    -------
    int or None
        None if fewer barcodes lie below the drop than above it: then the file has hardly any background.
    """
    ranked = np.sort(n_fragments[n_fragments > 0])
    if not len(ranked):
        return None
    n = np.unique(ranked)
    first, last = np.searchsorted(ranked, n), np.searchsorted(ranked, WINDOW * n)
    n_above, n_after = len(ranked) - first, len(ranked) - last
    fragments_above = np.cumsum(ranked[::-1])[::-1][first]
    is_candidate = (n_above >= min(LEAST_CELLS, len(ranked))) & (fragments_above >= LEAST_SHARE * ranked.sum()) & (n_after > 0)
    if not is_candidate.any():
        return None
    # Few barcodes between n and 1.5 n: the curve is steep.
    barcodes_per_log = np.log(n_above / np.maximum(n_after, 1))
    barcodes_per_log[~is_candidate] = np.inf
    steepest = np.flatnonzero(barcodes_per_log == barcodes_per_log.min())
    drop = max(1, round(float(n[steepest[len(steepest) // 2]]) * WINDOW**0.5))
    return None if 2 * int((ranked < drop).sum()) < len(ranked) else drop
