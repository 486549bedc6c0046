"""Writes which cells each peak is open in, by a counting sort over chunks of the matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.matrix_entries import CHUNK
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.progress import progress
from scbasset_zoo.training.npy_files import new_mapped_npy


def write_open_cells(
    path: Path,
    source: PeakMatrix,
    *,
    cell_number: NDArray[np.int32],
    peak_number: NDArray[np.int32],
    indptr: NDArray[np.int64],
    quiet: bool,
) -> NDArray[np.int64]:
    """Write the open cells of each kept peak, ascending, to an int32 .npy file.

    Parameters
    ----------
    path : Path
        The file to write.
    source : PeakMatrix
    cell_number, peak_number : int32 arrays of shape (n_input_cells,) and (n_input_peaks,)
        Position of each cell and peak among those that are kept; -1 for those that are left out.
    indptr : int64 array of shape (n_peaks + 1,)
        The cells of peak p are written to positions ``indptr[p]`` to ``indptr[p + 1]``.
    quiet : bool
        Show no progress.

    Returns
    -------
    int64 array of shape (n_cells,)
        Number of open peaks of each kept cell.

    Raises
    ------
    InputError
        The matrix changed since `indptr` was counted, or it has an entry twice.
    """
    n_peaks, n_cells = len(indptr) - 1, int(cell_number.max()) + 1
    n_open_peaks = np.zeros(n_cells, dtype=np.int64)
    next_place, end = indptr[:-1].copy(), indptr[1:]
    indices = new_mapped_npy(path, int(indptr[-1]))
    changed = InputError(f"{source.where} changed while it was being read. Start again.")
    with progress("writing open peaks", int(indptr[-1]), quiet=quiet) as advance:
        for source_cell, source_peak in source.open_entries():
            cell, peak = cell_number[source_cell], peak_number[source_peak]
            is_kept = (cell >= 0) & (peak >= 0)
            cell, peak = cell[is_kept], peak[is_kept]
            n_open_peaks += np.bincount(cell, minlength=n_cells)
            # SciPy's conversion to rows is a counting sort in C; the values of this matrix are the cells.
            by_peak = sparse.coo_matrix((cell, (peak, np.arange(len(cell)))), shape=(n_peaks, len(cell))).tocsr()
            count = np.diff(by_peak.indptr)
            if (next_place + count > end).any():
                raise changed
            indices[np.repeat(next_place - by_peak.indptr[:-1], count) + np.arange(len(cell))] = by_peak.data
            next_place += count
            advance(len(cell))
    if (next_place != end).any():
        raise changed
    _sort_cells_of_peaks(indices, indptr, n_cells, source.where)
    return n_open_peaks


def _sort_cells_of_peaks(indices: NDArray[np.int32], indptr: NDArray[np.int64], n_cells: int, where: str) -> None:
    """Sort the cells of each peak in place, a block of peaks at a time; raise if a peak has a cell twice."""
    row = 0
    while row < len(indptr) - 1:
        end_row = max(row + 1, int(np.searchsorted(indptr, indptr[row] + CHUNK, side="right")) - 1)
        first, last = indptr[row], indptr[end_row]
        block_indptr = indptr[row : end_row + 1] - first
        block = np.array(indices[first:last])
        if not _ascends(block, block_indptr):
            rows = sparse.csr_matrix((np.zeros(len(block), dtype=bool), block, block_indptr), shape=(end_row - row, n_cells))
            rows.sort_indices()
            if not _ascends(rows.indices, block_indptr):
                raise InputError(
                    f"{where} has the same cell and peak more than once. Add such entries up first, for example with "
                    "adata.X.sum_duplicates()."
                )
            indices[first:last] = rows.indices
        row = end_row


def _ascends(block: NDArray[np.int32], indptr: NDArray[np.int64]) -> bool:
    """Return whether the cells of each peak strictly ascend."""
    ascends = np.diff(block) > 0
    starts = indptr[1:-1]
    ascends[starts[(starts > 0) & (starts < len(block))] - 1] = True
    return bool(ascends.all())
