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
# Row numbers, column numbers and values of entries above zero.
Entries: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


class NotCounts(InputError):
    """A value of a matrix is no count: it is missing, infinite or negative.

    Attributes
    ----------
    row, column : int
        Place of the value, counting from 0.
    value : number
    """

    def __init__(self, row: int, column: int, value: Any) -> None:
        super().__init__(f"row {row:,}, column {column:,} (counting from 0) is {value}")
        self.row, self.column, self.value = row, column, value


def check_counts(values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> None:
    """Raise NotCounts if one of the values is missing, infinite or negative; `rows` and `columns` are their places."""
    wrong = _first_wrong(values)
    if wrong is not None:
        raise NotCounts(int(rows[wrong]), int(columns[wrong]), values[wrong])


def _first_wrong(values: NDArray[Any]) -> int | None:
    """Return the position of the first value, in C order, that is missing, infinite or negative; None if there is none."""
    if values.dtype.kind not in "biuf":
        raise TypeError(f"values of the type {values.dtype}; expected counts, such as adata.X = adata.X.astype('float32').")
    # NaN is neither 0 or more nor below infinity.
    wrong = ~((values >= 0) & (values < np.inf))
    return int(wrong.argmax()) if wrong.any() else None


def open_entries(x: Any) -> Iterator[Entries]:
    """Yield (row numbers, column numbers, values) of the entries above zero of a matrix, in chunks.

    A matrix that is dense or compressed by row is read by its rows: a chunk has whole rows.

    Parameters
    ----------
    x : matrix
        On disk or in memory; compressed by row (csr) or by column (csc), or dense.

    Raises
    ------
    NotCounts
        A value is missing, infinite or negative.
    TypeError
        The matrix is of another kind, or its values are no real numbers. The text is what comes after "X has".
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
            values = np.asarray(x[first : first + rows])
            wrong = _first_wrong(values)
            if wrong is not None:
                raise NotCounts(first + wrong // x.shape[1], wrong % x.shape[1], values.flat[wrong])
            row, column = np.nonzero(values > 0)
            yield row + first, column, values[row, column]
    else:
        raise TypeError(
            f"the type {type(x).__module__}.{type(x).__name__}; expected a sparse (csr, csc) or dense matrix. Read it into memory, "
            "for example adata = adata.to_memory()."
        )


def open_entries_of_compressed(indptr: NDArray[Any], indices: Any, data: Any, *, by_row: bool) -> Iterator[Entries]:
    """Yield (row numbers, column numbers, values) of the entries above zero of a compressed sparse matrix, in chunks.

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
        values = np.asarray(data[first:last])
        majors = np.repeat(np.arange(line, end_line, dtype=np.int64), np.diff(indptr[line : end_line + 1]))
        minors = np.asarray(indices[first:last])
        check_counts(values, *((majors, minors) if by_row else (minors, majors)))
        is_open = values > 0
        major, minor = majors[is_open], minors[is_open]
        yield *((major, minor) if by_row else (minor, major)), values[is_open]
        line = end_line
