"""A control without signal: labels shuffled within cells."""

from __future__ import annotations

import anndata as ad
import numpy as np
import scipy.sparse as sp


def shuffle_labels(adata: ad.AnnData, seed: int = 0) -> ad.AnnData:
    """A control with no signal: each cell's open peaks move to peaks drawn at random, so each cell keeps its depth.

    Parameters
    ----------
    adata : AnnData (n_cells, n_peaks)
        In memory or backed; X sparse or dense.
    seed : int

    Returns
    -------
    AnnData
        In memory: X in CSR with each cell's values kept, .obs, .var and .uns; no layers, which would show the answer.
    """
    rng = np.random.default_rng(seed)
    matrix = sp.csr_matrix(adata.to_memory().X, copy=True)
    matrix.eliminate_zeros()
    for first, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[first:end] = rng.choice(matrix.shape[1], end - first, replace=False, shuffle=True)
    matrix.has_sorted_indices = False
    matrix.sort_indices()
    return ad.AnnData(matrix, obs=adata.obs.copy(), var=adata.var.copy(), uns=dict(adata.uns))
