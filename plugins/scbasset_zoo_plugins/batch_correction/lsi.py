"""Latent semantic indexing of open peaks, without the component that follows depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo import InputError
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.console import option

COUNT_SCALE = 10_000
DEPTH_CORRELATION = 0.5


def lsi(is_open: sparse.csr_matrix, n_components: int = 50, seed: int = 0) -> NDArray[np.float32]:
    """Compute latent semantic indexing of open peaks.

    Open peaks are weighted by log(1 + 10,000 * TF * IDF). TF is 1 divided by the number of the cell's open peaks. IDF is the
    number of cells divided by the number of cells in which the peak is open (Stuart et al. 2021). The weights are reduced by
    truncated singular value decomposition. The component that is most correlated with log depth is dropped if its |r| is
    above 0.5.

    Parameters
    ----------
    is_open : csr_matrix (n_cells, n_peaks)
        1 where a peak is open, and no other stored values; every cell has an open peak.
    n_components : int
        Number of components, including the one that may be dropped.
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
    """Return cells x peaks, 1 where counts are above 0, in the model's order of cells; raise InputError if a cell is empty."""
    values = sparse.csr_matrix(counts.read(counts.cells))
    # In a matrix that was read from a file, indices and indptr may have different types; a new matrix gives them one type.
    is_open = sparse.csr_matrix(((values.data > 0).astype(np.float32), values.indices, values.indptr), shape=values.shape)
    is_open.eliminate_zeros()
    empty = np.flatnonzero(np.diff(is_open.indptr) == 0)
    if len(empty):
        raise InputError(
            f"{option('counts')}: {len(empty):,} cells have no open peak, such as {barcodes[empty[0]]!r}. Give counts that are "
            "above 0 for each cell."
        )
    return is_open
