"""Other data of a model's cells, such as RNA or raw counts: an AnnData whose rows are read by the cells of the model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.file_kinds import kind_of_file
from scbasset_zoo.inputs.outside_links import check_no_outside_links
from scbasset_zoo.wording import option as wording_of

_CELLS_PER_BLOCK = 1 << 14


class CompanionData:
    """An AnnData that shares cells with a model. X of an .h5ad stays on disk.

    Parameters
    ----------
    data : path of an .h5ad or .zarr, or AnnData
    barcodes : Index
        The cells of the model.
    option : str
        The option that named the data, such as "rna", for error messages.

    Attributes
    ----------
    adata : AnnData
    cells : int array
        Positions of the model's cells that the data has, ascending.

    Raises
    ------
    InputError
        The data is not an AnnData, has a barcode twice, or has fewer than two cells of the model.
    """

    def __init__(self, data: str | os.PathLike[str] | ad.AnnData, barcodes: pd.Index, option: str) -> None:
        self._option = option
        self.adata = data if isinstance(data, ad.AnnData) else _open(Path(data), option)
        names = self.adata.obs_names
        if not names.is_unique:
            raise InputError(f"{self._name}: the barcode {names[names.duplicated()][0]!r} occurs more than once.")
        self._row = names.get_indexer(barcodes)
        self._columns: NDArray[np.intp] | None = None
        self.cells = np.flatnonzero(self._row >= 0)
        if len(self.cells) < 2:
            raise InputError(
                f"{self._name} holds {len(self.cells)} of the model's {len(barcodes):,} cells. Its barcodes look like "
                f"{names[0] if len(names) else ''!r}, the model's like {barcodes[0]!r}. Rename its barcodes like the model's."
            )

    @property
    def columns(self) -> pd.Index:
        """Names of the columns of X. Raises InputError if X has no columns."""
        if not self.adata.n_vars:
            raise InputError(f"{self._name} has no values: its X has no columns.")
        names: pd.Index = self.adata.var_names
        return names

    def require_finite(self) -> None:
        """Raise InputError if X has a NaN or infinite value in a cell of the model."""
        for first in range(0, len(self.cells), _CELLS_PER_BLOCK):
            cells = self.cells[first : first + _CELLS_PER_BLOCK]
            block = sparse.coo_matrix(self.read(cells))
            rows = block.row[~np.isfinite(block.data)]
            if len(rows):
                barcode = self.adata.obs_names[self._row[cells[rows.min()]]]
                raise InputError(
                    f"{self._name}: the cell {barcode!r} has NaN or infinite values in X. Fill them, or leave such cells out."
                )

    def read(self, cells: NDArray[np.intp]) -> sparse.csr_matrix | NDArray[Any]:
        """Read rows of X.

        Parameters
        ----------
        cells : int array
            Positions of cells in the model, in any order. All must be among the attribute `cells`.

        Returns
        -------
        sparse matrix or array (len(cells), n_columns)

        Raises
        ------
        InputError
            There is no X.
        """
        if self.adata.X is None:
            raise InputError(f"{self._name} has no values: its X is missing.")
        values = self._rows(self.adata.X, cells)
        return values if self._columns is None else values[:, self._columns]

    def select_columns(self, positions: NDArray[np.intp]) -> None:
        """Let :meth:`read` return these columns of X only, in this order."""
        self._columns = positions

    def obsm(self, key: str, cells: NDArray[np.intp]) -> NDArray[Any]:
        """Read rows of ``.obsm[key]`` as a dense array.

        Parameters
        ----------
        key : str
        cells : int array
            Positions of cells in the model, as for :meth:`read`.

        Returns
        -------
        array (len(cells), n_dimensions)

        Raises
        ------
        InputError
            The array is not two-dimensional, or has values that are not finite numbers.
        """
        values = self.adata.obsm[key]
        values = values.toarray() if sparse.issparse(values) else np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise InputError(
                f"{self._name}: .obsm {key!r} must be cells x dimensions of finite numbers; found {values.dtype} {values.shape}."
            )
        return np.asarray(self._rows(values, cells))

    @property
    def _name(self) -> str:
        return wording_of(self._option)

    def _rows(self, matrix: Any, cells: NDArray[np.intp]) -> Any:
        # A matrix on disk is read in ascending order of its rows.
        rows = self._row[cells]
        order = np.argsort(rows)
        values = matrix[rows[order]]
        values = values.tocsr() if sparse.issparse(values) else np.asarray(values)
        return values[np.argsort(order)]


def _open(path: Path, option: str) -> ad.AnnData:
    if path.suffix not in (".h5ad", ".zarr") or not path.exists():
        hint = " Read the file into an AnnData, and write that as .h5ad." if path.exists() else ""
        raise InputError(f"{wording_of(option)}: there is no .h5ad or .zarr {path}.{hint}")
    try:
        if path.suffix == ".zarr" or h5py.is_hdf5(path):
            check_no_outside_links(path)
        return ad.read_h5ad(path, backed="r") if path.suffix == ".h5ad" else ad.read_zarr(path)
    except InputError as error:
        raise InputError(f"{wording_of(option)}: {error}") from error
    except Exception as error:  # readers raise many kinds of errors on files of other formats
        if (kind := kind_of_file(path)) is not None and path.suffix == ".h5ad" and not h5py.is_hdf5(path):
            raise InputError(f"{wording_of(option)}: {path} is {kind}") from None
        raise InputError(f"{wording_of(option)}: {path} cannot be read as AnnData ({error}).") from error
