"""Latent semantic indexing of open peaks, without the component that follows depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo import InputError
from scbasset_zoo.extend.companion_data import CompanionData

COUNT_SCALE = 10_000


DEPTH_CORRELATION = 0.5


def lsi(is_open: sparse.csr_matrix, n_components: int = 50, seed: int = 0) -> NDArray[np.float32]:
    """Latent semantic indexing of open peaks, without the component that follows depth.

    Open peaks are weighted by log(1 + 10,000 * TF * IDF): TF is 1 over the cell's open peaks, IDF the cells over those in
    which the peak is open (Stuart et al. 2021). Of the truncated singular value decomposition the component most
    correlated with log depth is left out, if its |r| is above 0.5.

    Parameters
    ----------
    is_open : csr_matrix (n_cells, n_peaks)
        1 where a peak is open, and nothing else; no cell is empty.
    n_components : int
        Including the one that may be left out.
    seed : int

    Returns
    -------
    float32 array (n_cells, n_components or one less)
    """
    from sklearn.decomposition import TruncatedSVD

    weights = is_open.astype(np.float32)
    depth = np.diff(weights.indptr)
    frequency = np.bincount(weights.indices, minlength=weights.shape[1])
    weights.data = np.log1p(
        np.float32(COUNT_SCALE) * np.repeat(1 / depth, depth) * (len(depth) / frequency[weights.indices])
    ).astype(np.float32)
    components = TruncatedSVD(n_components, random_state=seed).fit_transform(weights)
    correlation = np.abs([np.corrcoef(component, np.log(depth))[0, 1] for component in components.T])
    if np.nanmax(correlation) > DEPTH_CORRELATION:
        components = np.delete(components, np.nanargmax(correlation), axis=1)
    return components.astype(np.float32)


def open_peaks(counts: CompanionData, barcodes: pd.Index) -> sparse.csr_matrix:
    """Cells x peaks, 1 where above 0, in the model's order of cells."""
    found = sparse.csr_matrix(counts.read(counts.cells))
    # Made anew of its parts: only then have indices and indptr one type in a matrix that was read from a file.
    is_open = sparse.csr_matrix(((found.data > 0).astype(np.float32), found.indices, found.indptr), shape=found.shape)
    is_open.eliminate_zeros()
    empty = np.flatnonzero(np.diff(is_open.indptr) == 0)
    if len(empty):
        raise InputError(f"counts: {len(empty):,} cells have no open peak, such as {barcodes[empty[0]]!r}.")
    return is_open
