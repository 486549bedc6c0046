"""A control without signal: each cell's open peaks are moved to random peaks."""

from __future__ import annotations

import anndata as ad
import numpy as np
import scipy.sparse as sp


def shuffle_labels(adata: ad.AnnData, seed: int = 0) -> ad.AnnData:
    """Move each cell's open peaks to random peaks. Each cell keeps its depth, and the signal is lost.

    Parameters
    ----------
    adata : AnnData (n_cells, n_peaks)
        In memory or backed; X sparse or dense.
    seed : int

    Returns
    -------
    AnnData
        In memory, with X in CSR, .obs, .var and .uns. Layers are left out, because they would show the answer.
    """
    rng = np.random.default_rng(seed)
    matrix = sp.csr_matrix(adata.to_memory().X, copy=True)
    matrix.eliminate_zeros()
    for first, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[first:end] = rng.choice(matrix.shape[1], end - first, replace=False, shuffle=True)
    matrix.has_sorted_indices = False
    matrix.sort_indices()
    return ad.AnnData(matrix, obs=adata.obs.copy(), var=adata.var.copy(), uns=dict(adata.uns))
