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


class Measured:
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

    def read(self, cells: NDArray[np.intp]) -> sparse.csr_matrix | NDArray[Any]:
        """Rows of X for these cells of the model, in their order."""
        return self._rows(self.adata.X, cells)

    def obsm(self, key: str, cells: NDArray[np.intp]) -> NDArray[Any]:
        """Rows of ``.obsm[key]`` for these cells of the model, in their order."""
        return np.asarray(self._rows(np.asarray(self.adata.obsm[key]), cells))

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
