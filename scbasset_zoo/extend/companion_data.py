"""Other measurements of a model's cells, in AnnData files or objects, read by the cells' positions in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError

_CELLS_AT_ONCE = 1 << 14


class CompanionData:
    """An AnnData that shares cells with a model; X stays on disk where it is an .h5ad.

    Parameters
    ----------
    data : path of an .h5ad or .zarr, or AnnData
    barcodes : Index
        The model's cells.
    what : str
        What it is called in messages, as "rna".

    Attributes
    ----------
    adata : AnnData
    cells : positions
        The model's cells that are in it, ascending.

    Raises
    ------
    InputError
        No AnnData, barcodes twice, or fewer than two of the model's cells.
    """

    def __init__(self, data: Any, barcodes: pd.Index, what: str) -> None:
        self.what = what
        self.adata = data if isinstance(data, ad.AnnData) else _opened(Path(data), what)
        names = self.adata.obs_names
        if not names.is_unique:
            raise InputError(f"{what}: the barcode {names[names.duplicated()][0]!r} stands there twice.")
        self._row = names.get_indexer(barcodes)
        self.cells = np.flatnonzero(self._row >= 0)
        if len(self.cells) < 2:
            raise InputError(
                f"{what} holds {len(self.cells)} of the model's {len(barcodes):,} cells. Its barcodes look like "
                f"{names[0] if len(names) else ''!r}, the model's like {barcodes[0]!r}: rename them."
            )

    @property
    def columns(self) -> pd.Index:
        """Names of X's columns; InputError where there are none."""
        if not self.adata.n_vars:
            raise InputError(f"{self.what} has no values: its X has no columns.")
        return self.adata.var_names

    def require_finite(self) -> None:
        """Raise InputError if a value of X is NaN or infinite."""
        for first in range(0, len(self.cells), _CELLS_AT_ONCE):
            cells = self.cells[first : first + _CELLS_AT_ONCE]
            rows = sparse.coo_matrix(self.read(cells))
            wrong = rows.row[~np.isfinite(rows.data)]
            if len(wrong):
                name = self.adata.obs_names[self._row[cells[wrong.min()]]]
                raise InputError(
                    f"{self.what}: the cell {name!r} has NaN or infinite values in X. Fill them, or leave such cells out."
                )

    def read(self, cells: NDArray[np.intp]) -> sparse.csr_matrix | NDArray[Any]:
        """Rows of X for these cells of the model, in their order; InputError where there is no X."""
        if self.adata.X is None:
            raise InputError(f"{self.what} has no values: its X is missing.")
        return self._rows(self.adata.X, cells)

    def obsm(self, key: str, cells: NDArray[np.intp]) -> NDArray[Any]:
        """Rows of ``.obsm[key]`` for these cells of the model, in their order, dense; InputError unless finite numbers."""
        values = self.adata.obsm[key]
        values = values.toarray() if sparse.issparse(values) else np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise InputError(
                f"{self.what}: .obsm {key!r} must be cells x dimensions of finite numbers; found {values.dtype} {values.shape}."
            )
        return np.asarray(self._rows(values, cells))

    def _rows(self, matrix: Any, cells: NDArray[np.intp]) -> Any:
        rows = self._row[cells]
        order = np.argsort(rows)
        found = matrix[rows[order]]
        found = found.tocsr() if sparse.issparse(found) else np.asarray(found)
        return found[np.argsort(order)]


def _opened(path: Path, what: str) -> ad.AnnData:
    if path.suffix not in (".h5ad", ".zarr") or not path.exists():
        raise InputError(f"{what}: {path} must be an .h5ad or .zarr that is there.")
    try:
        return ad.read_h5ad(path, backed="r") if path.suffix == ".h5ad" else ad.read_zarr(path)
    except Exception as error:  # noqa: BLE001  readers raise many kinds on files of other kinds
        raise InputError(f"{what}: {path} cannot be read as AnnData ({error}).") from error
