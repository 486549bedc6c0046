"""Draws cells x peaks from their true accessibility and writes them, chunk by chunk."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from scbasset_zoo.progress import progress
from scbasset_zoo.simulation.accessibility import true_logits

VALUES_AT_ONCE = 1 << 22  # cells x peaks held dense at a time


def write_matrix(
    path: Path,
    cells: pd.DataFrame,
    peaks: pd.DataFrame,
    activities: NDArray[np.float32],
    strengths: NDArray[np.float32],
    intercept: float,
    rng: np.random.Generator,
    quiet: bool,
) -> int:
    """Draw and write cells x peaks, chunk by chunk; return the number of ones."""
    ad.AnnData(obs=cells, var=peaks).write_h5ad(path)
    base, depth = peaks["base_logit"].to_numpy() + np.float32(intercept), cells["depth"].to_numpy()
    compression = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    n_open = 0
    step = max(1, VALUES_AT_ONCE // len(peaks))
    with h5py.File(path, "r+") as file, progress("drawing cells", len(cells), quiet=quiet) as advance:
        for first in range(0, len(cells), step):
            chunk = slice(first, first + step)
            # u < 1 / (1 + exp(-logit)), without a second array of the chunk's size
            odds = true_logits(activities[chunk], depth[chunk], strengths, base)
            np.negative(odds, out=odds)
            np.exp(odds, out=odds)
            odds += 1
            odds *= rng.random(odds.shape, dtype=np.float32)
            is_open = odds < 1
            ones = _csr(is_open)
            if first == 0:
                ad.io.write_elem(file, "X", ones, dataset_kwargs=compression)
            else:
                ad.io.sparse_dataset(file["X"]).append(ones)
            n_open += ones.nnz
            advance(len(is_open))
    return n_open


def _csr(is_open: NDArray[np.bool_]) -> sp.csr_matrix:
    n_cells, n_peaks = is_open.shape
    indptr = np.zeros(n_cells + 1, dtype=np.int64)
    np.cumsum(np.count_nonzero(is_open, axis=1), out=indptr[1:])
    indices = (np.flatnonzero(is_open) % n_peaks).astype(np.int32)
    matrix = sp.csr_matrix((n_cells, n_peaks), dtype=np.uint8)
    # Assigned one by one: the constructor would narrow indptr, which must hold the whole matrix's count.
    matrix.data, matrix.indices, matrix.indptr = np.ones(len(indices), dtype=np.uint8), indices, indptr
    return matrix
