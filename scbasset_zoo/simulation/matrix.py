"""Draw cells x peaks from their true accessibility, and write them in chunks."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scbasset_zoo.progress import progress
from scbasset_zoo.simulation.accessibility import true_logits
from scbasset_zoo.simulation.cells import SimulatedCells
from scbasset_zoo.simulation.genome import SimulatedPeaks

VALUES_AT_ONCE = 1 << 22  # values of cells x peaks that are in memory as a dense array at the same time


def write_matrix(
    path: Path, cells: SimulatedCells, peaks: SimulatedPeaks, intercept: float, rng: np.random.Generator, quiet: bool
) -> int:
    """Draw cells x peaks (0/1), write them as .h5ad in chunks, and return the number of ones."""
    ad.AnnData(obs=cells.obs, var=peaks.var).write_h5ad(path)
    base, n_cells = peaks.base + np.float32(intercept), len(cells.obs)
    compression = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    n_open = 0
    step = max(1, VALUES_AT_ONCE // len(peaks.var))
    with h5py.File(path, "r+") as file, progress("drawing cells", n_cells, quiet=quiet) as advance:
        for first in range(0, n_cells, step):
            chunk = slice(first, first + step)
            # Open where u < 1 / (1 + exp(-logit)), for uniform u; computed in place, to need only one array of this size.
            odds = true_logits(cells.activities[chunk], cells.depth[chunk], peaks.strengths, base)
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
    """Return a boolean array as a sparse matrix of ones (uint8)."""
    n_cells, n_peaks = is_open.shape
    indptr = np.zeros(n_cells + 1, dtype=np.int64)
    np.cumsum(np.count_nonzero(is_open, axis=1), out=indptr[1:])
    indices = (np.flatnonzero(is_open) % n_peaks).astype(np.int32)
    matrix = sp.csr_matrix((n_cells, n_peaks), dtype=np.uint8)
    # The constructor would narrow indptr to int32, which could not hold the number of ones of the whole matrix.
    matrix.data, matrix.indices, matrix.indptr = np.ones(len(indices), dtype=np.uint8), indices, indptr
    return matrix
