"""Cells x peaks from every format in use: AnnData in memory, .h5ad, .zarr, 10x .h5, 10x mtx folders.

A matrix is never held whole: a :class:`PeakMatrix` knows its cells and peaks, and reads its open entries chunk by chunk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.peaks import has_intervals, open_text, peak_names, peaks_from_var, read_bed

# Entries of the matrix (or dense values) that are in memory at one time.
CHUNK = 1 << 23
Entries = tuple[NDArray[Any], NDArray[Any]]

_EXPECTED = (
    "Expected an AnnData (.h5ad or .zarr, cells x peaks), a 10x filtered_feature_bc_matrix.h5, or a 10x folder with "
    "matrix.mtx, barcodes.tsv and features.tsv or peaks.bed"
)


@dataclass(frozen=True)
class PeakMatrix:
    """Cells x peaks, read in chunks.

    Attributes
    ----------
    where : str
        The file's name, for messages.
    cells : DataFrame
        A row a cell, index the barcode.
    peaks : DataFrame
        A row a peak: name, chrom, start, end (0-based, half-open), then all that was known of it; the index is the peak's
        row in the file.
    files : list of Path
        The files that it was read from; empty for a matrix in memory.
    """

    where: str
    cells: pd.DataFrame
    peaks: pd.DataFrame
    files: list[Path]
    _read: Callable[[], Iterator[Entries]]
    _n_columns: int

    @property
    def n_cells(self) -> int:
        return len(self.cells)

    @property
    def n_peaks(self) -> int:
        return len(self.peaks)

    def open_entries(self) -> Iterator[Entries]:
        """Yield (cell numbers, peak numbers) of the entries above zero, in chunks and any order.

        Raises
        ------
        InputError
            The file is damaged, or an entry lies outside the matrix.
        """
        peak_number = np.full(self._n_columns, -1, dtype=np.int32)
        peak_number[self.peaks.index.to_numpy()] = np.arange(self.n_peaks)
        with readable(self.where):
            for cell, column in self._read():
                if len(cell) and (
                    min(cell.min(), column.min()) < 0 or cell.max() >= self.n_cells or column.max() >= self._n_columns
                ):
                    raise InputError(f"{self.where} is damaged: entries lie outside its {self.n_cells:,} x {self._n_columns:,}.")
                peak = peak_number[column]
                selected = peak >= 0
                yield cell[selected], peak[selected]


def open_matrix(matrix: ad.AnnData | str | os.PathLike[str]) -> PeakMatrix:
    """Open cells x peaks without reading the values.

    Parameters
    ----------
    matrix : AnnData, or path of an .h5ad, a .zarr, a 10x .h5 or a 10x mtx folder
        Peaks are in `.var` (columns chr/chrom/chromosome/seqnames, start, end; or names as chr1:100-600, chr1-100-600,
        chr1_100_600). Of several feature types only "Peaks" are taken. Values above zero are open.

    Raises
    ------
    InputError
        Nothing there, another kind of file, no cells, no peaks, peaks that cannot be understood, or barcodes twice.
    """
    if isinstance(matrix, ad.AnnData):
        opened = _from_anndata(matrix)
    else:
        if not isinstance(matrix, str | os.PathLike):
            raise InputError(f"The matrix must be a path or an AnnData; found {type(matrix).__name__}. {_EXPECTED}.")
        path = Path(matrix)
        with readable(str(path)):
            opened = _from_path(path)
    _check(opened)
    return opened


def _check(matrix: PeakMatrix) -> None:
    if not matrix.n_cells or not matrix.n_peaks:
        raise InputError(f"{matrix.where} is empty: it has {matrix.n_cells:,} cells and {matrix.n_peaks:,} peaks.")
    for name, table in ((".obs", matrix.cells), (".var", matrix.peaks)):
        if not table.columns.is_unique:
            raise InputError(f"{matrix.where}: {name} has two columns called {table.columns[table.columns.duplicated()][0]!r}.")
    twice = matrix.cells.index[matrix.cells.index.duplicated()]
    if len(twice):
        raise InputError(
            f"{matrix.where}: {len(twice):,} cells have a name that another cell has, first {twice[0]!r}. Cell names must "
            "be distinct: call adata.obs_names_make_unique()."
        )
    again = matrix.peaks.duplicated(["chrom", "start", "end"]).to_numpy()
    if again.any():
        interval = matrix.peaks[again].iloc[0][["chrom", "start", "end"]]
        rows = matrix.peaks.index[(matrix.peaks[["chrom", "start", "end"]] == interval).all(axis=1)]
        name = peak_names(matrix.peaks[again])[0]
        raise InputError(
            f"{matrix.where}: {again.sum():,} duplicate peaks, first {name} in rows {rows[0]} and {rows[1]} "
            "(counting from 0). Leave out the copies."
        )


def _from_anndata(adata: ad.AnnData) -> PeakMatrix:
    where = "the AnnData"
    if adata.isbacked:
        # Its file may be open for writing elsewhere, so the matrix is read through the handle that is open already.
        where = str(adata.filename)
    return _anndata_like(where, adata.obs, adata.var, adata.X, [])


def _from_path(path: Path) -> PeakMatrix:
    if not path.exists():
        raise InputError(f"There is no {path}.")
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs")):
            return _from_zarr(path)
        if _part(path, "matrix.mtx"):
            return _from_mtx(path)
        raise InputError(f"The folder {path} holds neither a Zarr store nor matrix.mtx. {_EXPECTED}.")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an HDF5 file. {_EXPECTED}.")
    with h5py.File(path, "r") as file:
        groups = set(file)
        if {"obs", "var"} <= groups:
            return _from_store(path, file, [path], lambda: h5py.File(path, "r"))
        if "matrix" in groups and isinstance(file["matrix"], h5py.Group) and {"barcodes", "features"} <= set(file["matrix"]):
            return _from_10x_h5(path, file["matrix"])
    raise InputError(f"{path} is an HDF5 file of another kind (it holds {', '.join(sorted(groups)) or 'nothing'}). {_EXPECTED}.")


def _from_zarr(path: Path) -> PeakMatrix:
    store = zarr.open_group(path, mode="r")
    if not {"obs", "var"} <= set(store):
        raise InputError(f"{path} is a Zarr store of another kind (it holds {', '.join(sorted(store)) or 'nothing'}). {_EXPECTED}.")
    return _from_store(path, store, [path], lambda: contextlib.nullcontext(zarr.open_group(path, mode="r")))


def _from_store(path: Path, store: Any, files: list[Path], reopen: Callable[[], Any]) -> PeakMatrix:
    if "X" not in store:
        raise InputError(f"{path} has no X. {_EXPECTED}.")
    obs, var = ad.io.read_elem(store["obs"]), ad.io.read_elem(store["var"])
    if not (isinstance(obs, pd.DataFrame) and isinstance(var, pd.DataFrame)):
        raise InputError(f"{path} was written by an anndata older than 0.7: read it with anndata and write it again.")

    def read() -> Iterator[Entries]:
        with reopen() as again:
            yield from _entries(_stored(again["X"]))

    return _anndata_like(str(path), obs, var, _stored(store["X"]), files, read)


def _stored(x: Any) -> Any:
    return ad.io.sparse_dataset(x) if isinstance(x, h5py.Group | zarr.Group) else x


def _anndata_like(
    where: str,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    x: Any,
    files: list[Path],
    read: Callable[[], Iterator[Entries]] | None = None,
) -> PeakMatrix:
    if x is None:
        raise InputError(f"{where} has no X, so no cells x peaks.")
    if tuple(x.shape) != (len(obs), len(var)):
        raise InputError(f"{where} is damaged: X is {x.shape}, but .obs has {len(obs):,} rows and .var {len(var):,}.")
    obs = obs.set_axis(obs.index.astype(str), axis=0)
    types = var["feature_types"].astype(str).to_numpy() if "feature_types" in var else None
    rows = _peak_rows(types, len(var), where)
    try:
        peaks = peaks_from_var(var.iloc[rows], f"{where}, .var", rows)
    except InputError as error:
        if len(obs) and has_intervals(obs) and not has_intervals(var):
            raise InputError(
                f"{where}: the peaks are in .obs and the cells in .var, so the matrix is peaks x cells. Expected "
                "cells x peaks: transpose it (adata.T)."
            ) from error
        raise
    return PeakMatrix(where, obs, peaks, files, read or (lambda: _entries(x)), len(var))


def _entries(x: Any) -> Iterator[Entries]:
    """Open entries of any two-dimensional matrix: on disk or in memory, sparse by row or column, or dense."""
    if isinstance(x, ad.abc.CSRDataset | ad.abc.CSCDataset):
        group = x.group
        yield from _compressed(group["indptr"][:], group["indices"], group["data"], by_cell=x.format == "csr")
    elif sparse.issparse(x):
        x = x if x.format in ("csr", "csc") else x.tocsr()
        yield from _compressed(x.indptr, x.indices, x.data, by_cell=x.format == "csr")
    elif isinstance(x, np.ndarray | h5py.Dataset | zarr.Array):
        rows = max(1, CHUNK // max(1, x.shape[1]))
        for first in range(0, x.shape[0], rows):
            cell, column = np.nonzero(np.asarray(x[first : first + rows]) > 0)
            yield cell + first, column
    else:
        raise InputError(f"X is a {type(x).__name__}; expected a sparse (csr, csc) or dense matrix.")


def _compressed(indptr: NDArray[Any], indices: Any, data: Any, *, by_cell: bool) -> Iterator[Entries]:
    """Open entries of a compressed sparse matrix; `indices` and `data` may be on disk."""
    indptr = np.asarray(indptr, dtype=np.int64)
    if indptr[0] != 0 or (np.diff(indptr) < 0).any() or not (indptr[-1] == indices.shape[0] == data.shape[0]):
        raise ValueError("the sparse matrix's indptr, indices and data do not fit together.")
    line, n_lines = 0, len(indptr) - 1
    while line < n_lines:
        until = max(line + 1, int(np.searchsorted(indptr, indptr[line] + CHUNK, side="right")) - 1)
        first, last = indptr[line], indptr[until]
        is_open = np.asarray(data[first:last]) > 0
        major = np.repeat(np.arange(line, until, dtype=np.int64), np.diff(indptr[line : until + 1]))[is_open]
        minor = np.asarray(indices[first:last])[is_open]
        yield (major, minor) if by_cell else (minor, major)
        line = until


def _from_10x_h5(path: Path, group: h5py.Group) -> PeakMatrix:
    features = {name: _strings(group["features"][name]) for name in ("id", "feature_type", "interval") if name in group["features"]}
    cells = pd.DataFrame(index=_strings(group["barcodes"]))
    n_features, n_cells = (int(n) for n in group["shape"][:])
    if "id" not in features or (len(features["id"]), len(cells)) != (n_features, n_cells):
        raise InputError(f"{path} is damaged: shape says {n_features:,} features x {n_cells:,} barcodes, the lists differ.")
    rows = _peak_rows(features.get("feature_type"), n_features, str(path))
    peaks = peaks_from_var(pd.DataFrame(index=features["id"][rows]), f"{path}, features", rows)

    def read() -> Iterator[Entries]:
        with h5py.File(path, "r") as file:
            again = file["matrix"]
            yield from _compressed(again["indptr"][:], again["indices"], again["data"], by_cell=True)

    return PeakMatrix(str(path), cells, peaks, [path], read, n_features)


def _from_mtx(path: Path) -> PeakMatrix:
    matrix = _part(path, "matrix.mtx")
    barcodes, features, bed = _part(path, "barcodes.tsv"), _part(path, "features.tsv"), _part(path, "peaks.bed")
    if matrix is None or barcodes is None or (features is None and bed is None):
        raise InputError(
            f"The folder {path} lacks {'barcodes.tsv' if barcodes is None else 'features.tsv or peaks.bed'}. {_EXPECTED}."
        )
    cells = pd.DataFrame(index=_table(barcodes)[0].to_numpy(dtype=object))
    if features is not None:
        table = _table(features)
        rows = _peak_rows(table[2].to_numpy() if table.shape[1] > 2 else None, len(table), str(features))
        peaks = peaks_from_var(pd.DataFrame(index=table[0].to_numpy()[rows]), str(features), rows)
        n_features = len(table)
    else:
        assert bed is not None
        peaks = read_bed(bed)[["name", "chrom", "start", "end"]]
        n_features = len(peaks)
    shape, _, _ = _mtx_header(matrix)
    if shape != (n_features, len(cells)):
        hint = " It is cells x peaks: 10x writes peaks x cells." if shape == (len(cells), n_features) else ""
        raise InputError(
            f"{matrix} is {shape[0]:,} x {shape[1]:,}, but there are {n_features:,} peaks or features and {len(cells):,} "
            f"barcodes beside it.{hint} The files do not belong together."
        )
    files = [file for file in (matrix, barcodes, features or bed) if file]
    return PeakMatrix(str(path), cells, peaks, files, lambda: _mtx_entries(matrix), n_features)


def _mtx_header(path: Path) -> tuple[tuple[int, int], int, bool]:
    """Shape, number of entries, and whether entries have no value."""
    with open_text(path) as file:
        banner = file.readline().split()
        if [word.lower() for word in banner[:3]] != ["%%matrixmarket", "matrix", "coordinate"] or banner[-1].lower() != "general":
            raise InputError(f"{path} is not a Matrix Market coordinate file: its first line is {' '.join(banner)[:80]!r}.")
        for line in file:
            if line.strip() and not line.startswith("%"):
                rows, columns, entries = (int(word) for word in line.split())
                return (rows, columns), entries, banner[3].lower() == "pattern"
    raise InputError(f"{path} was cut short: it has no line with its shape.")


def _mtx_entries(path: Path) -> Iterator[Entries]:
    _, expected, pattern = _mtx_header(path)
    columns: dict[Any, Any] = {"feature": np.int64, "cell": np.int64} | ({} if pattern else {"value": np.float64})
    found = 0
    with open_text(path) as file:
        for line in file:
            if line.strip() and not line.startswith("%"):
                break
        chunks = pd.read_csv(file, sep=r"\s+", header=None, names=list(columns), dtype=columns, chunksize=CHUNK) if expected else []
        for chunk in chunks:
            found += len(chunk)
            is_open = np.ones(len(chunk), dtype=bool) if pattern else chunk["value"].to_numpy() > 0
            yield chunk["cell"].to_numpy()[is_open] - 1, chunk["feature"].to_numpy()[is_open] - 1
    if found != expected:
        raise InputError(f"{path} was cut short or added to: its header says {expected:,} entries, it has {found:,}.")


def _peak_rows(types: NDArray[Any] | None, n: int, where: str) -> NDArray[np.int64]:
    """Rows of the peaks among features of several types."""
    if types is None or len(set(types)) < 2:
        return np.arange(n)
    rows = np.flatnonzero(types == "Peaks")
    if not len(rows):
        raise InputError(f'{where} has no feature of type "Peaks"; it has {", ".join(sorted(set(types)))}.')
    return rows


def _part(folder: Path, name: str) -> Path | None:
    return next((folder / file for file in (name, f"{name}.gz") if (folder / file).is_file()), None)


def _table(path: Path) -> pd.DataFrame:
    with open_text(path) as file:
        rows: Sequence[list[str]] = [line.rstrip("\r\n").split("\t") for line in file if line.strip()]
    width = min((len(row) for row in rows), default=1)
    return pd.DataFrame([row[:width] for row in rows], columns=range(width), dtype=object)


def _strings(dataset: h5py.Dataset) -> NDArray[np.object_]:
    strings: NDArray[np.object_] = np.array(
        [text.decode() if isinstance(text, bytes) else str(text) for text in dataset[:]], dtype=object
    )
    return strings
