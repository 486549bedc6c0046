"""Read the entries above zero of a matrix, in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import anndata as ad
import h5py
import numpy as np
import zarr
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError

# Entries of a sparse matrix, or values of a dense one, that are in memory at the same time.
CHUNK = 1 << 23
Entries: TypeAlias = tuple[NDArray[Any], NDArray[Any]]


def open_entries(x: Any) -> Iterator[Entries]:
    """Yield (row numbers, column numbers) of the entries above zero of a matrix, in chunks.

    Parameters
    ----------
    x : matrix
        On disk or in memory; compressed by row (csr) or by column (csc), or dense.

    Raises
    ------
    InputError
        The matrix is of another kind.
    ValueError
        The parts of a sparse matrix do not fit together.
    """
    if isinstance(x, ad.abc.CSRDataset | ad.abc.CSCDataset):
        group = x.group
        yield from open_entries_of_compressed(group["indptr"][:], group["indices"], group["data"], by_row=x.format == "csr")
    elif sparse.issparse(x):
        x = x if x.format in ("csr", "csc") else x.tocsr()
        yield from open_entries_of_compressed(x.indptr, x.indices, x.data, by_row=x.format == "csr")
    elif isinstance(x, np.ndarray | h5py.Dataset | zarr.Array):
        rows = max(1, CHUNK // max(1, x.shape[1]))
        for first in range(0, x.shape[0], rows):
            row, column = np.nonzero(np.asarray(x[first : first + rows]) > 0)
            yield row + first, column
    else:
        raise InputError(f"X is a {type(x).__name__}; expected a sparse (csr, csc) or dense matrix.")


def open_entries_of_compressed(indptr: NDArray[Any], indices: Any, data: Any, *, by_row: bool) -> Iterator[Entries]:
    """Yield (row numbers, column numbers) of the entries above zero of a compressed sparse matrix, in chunks.

    Parameters
    ----------
    indptr : integers
    indices, data : arrays, may be on disk
    by_row : bool
        Whether the matrix is compressed by row (csr), not by column (csc).

    Raises
    ------
    ValueError
        The arrays do not fit together.
    """
    indptr = np.asarray(indptr, dtype=np.int64)
    if indptr[0] != 0 or (np.diff(indptr) < 0).any() or not (indptr[-1] == indices.shape[0] == data.shape[0]):
        raise ValueError("the sparse matrix's indptr, indices and data do not fit together.")
    line, n_lines = 0, len(indptr) - 1
    while line < n_lines:
        end_line = max(line + 1, int(np.searchsorted(indptr, indptr[line] + CHUNK, side="right")) - 1)
        first, last = indptr[line], indptr[end_line]
        is_open = np.asarray(data[first:last]) > 0
        major = np.repeat(np.arange(line, end_line, dtype=np.int64), np.diff(indptr[line : end_line + 1]))[is_open]
        minor = np.asarray(indices[first:last])[is_open]
        yield (major, minor) if by_row else (minor, major)
        line = end_line
