"""Cells x peaks of any format: what every reader of a format returns, and checks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.gene_counts import GeneCounts
from scbasset_zoo.inputs.matrix_entries import Entries, NotCounts
from scbasset_zoo.inputs.peaks import peak_names
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option

EXPECTED_FORMATS = (
    "Expected an AnnData (.h5ad or .zarr, cells x peaks), a MuData (.h5mu or .zarr), a 10x filtered_feature_bc_matrix.h5, or a "
    "10x folder with matrix.mtx, barcodes.tsv and features.tsv or peaks.bed"
)
PEAKS = "Peaks"


@dataclass(frozen=True)
class PeakMatrix:
    """Cells x peaks: tables of the cells and peaks, and a reader of the open entries. The matrix is never in memory as a whole.

    Attributes
    ----------
    where : str
        Name of the file, for messages.
    cells : DataFrame
        One row a cell, indexed by barcode.
    peaks : DataFrame
        One row a peak: name, chrom, start, end (0-based, half-open), then the other columns of the file. The index is the
        peak's row in the file.
    files : list of Path
        The files that are read; empty for a matrix in memory.
    values : str
        What holds the values, such as "X" or "layers['counts']", for messages.
    layers : tuple of str
        The layers beside the values.
    origin : dict
        Which part of the input was read: "modality", "layer", and "sample", if the cells were named by one.
    parts : tuple of PeakMatrix
        The matrices of several samples that this one joins; empty for one matrix.
    """

    where: str
    cells: pd.DataFrame
    peaks: pd.DataFrame
    files: list[Path]
    _read: Callable[[], Iterator[Entries]]
    _n_columns: int
    values: str = "X"
    layers: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)
    _read_genes: Callable[[], GeneCounts] | None = None
    parts: tuple[PeakMatrix, ...] = ()

    @property
    def name(self) -> str:
        """The name of the input: of its file or folder, without the path."""
        if len(self.parts) > 1:
            return ", ".join(part.name for part in self.parts)
        # A modality of a MuData is named after its file.
        return Path(self.where.removesuffix(f", modality {self.origin.get('modality')}")).name

    @property
    def n_cells(self) -> int:
        return len(self.cells)

    @property
    def n_peaks(self) -> int:
        return len(self.peaks)

    def open_entries(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield (cell numbers, peak numbers) of the entries above zero, in chunks, in any order.

        Raises
        ------
        InputError
            The file is damaged, an entry lies outside the matrix, or a value is no count: it is missing, infinite, negative or
            no number.
        """
        peak_number = np.full(self._n_columns, -1, dtype=np.int32)
        peak_number[self.peaks.index.to_numpy()] = np.arange(self.n_peaks)
        with readable(self.where):
            for cell, column, _ in self._counts():
                if len(cell) and (
                    min(cell.min(), column.min()) < 0 or cell.max() >= self.n_cells or column.max() >= self._n_columns
                ):
                    raise InputError(f"{self.where} is damaged: entries lie outside {self.n_cells:,} x {self._n_columns:,}.")
                peak = peak_number[column]
                selected = peak >= 0
                yield cell[selected], peak[selected]

    def _counts(self) -> Iterator[Entries]:
        """Yield what the file gives; an error for a value that is no count names its cell and feature."""
        try:
            yield from self._read()
        except TypeError as error:
            raise InputError(f"{self.where}: {self.values} has {error}") from error
        except NotCounts as error:
            cell = repr(self.cells.index[error.row]) if error.row < self.n_cells else f"{error.row:,}"
            name = f"column {error.column:,}"
            if error.column in self.peaks.index:
                name = f"peak {self.peaks.loc[error.column, 'name']!r} (column {error.column:,}, counting from 0)"
            raise InputError(
                f"{self.where}: the value of cell {cell} and {name} is {error.value}; expected counts, none of them missing (NaN), "
                f"infinite or negative. {self._where_counts_are()}"
            ) from error

    def _where_counts_are(self) -> str:
        counts = next((layer for layer in self.layers if layer.lower() in ("counts", "count", "raw_counts", "raw")), None)
        if counts is not None and counts != self.origin.get("layer"):
            return f"There is a layer of counts: read it with {option('layer', counts)}."
        others = f" There are the layers {', '.join(self.layers)}: see {option('layer')}." if self.layers else ""
        return f"Give the matrix of counts, not scaled or centred values.{others}"

    def gene_counts(self) -> GeneCounts:
        """Open the gene expression of the same cells, without reading the values.

        Raises
        ------
        InputError
            The input has no gene expression.
        """
        if self._read_genes is None:
            raise InputError(
                f'{self.where} has no gene expression. Expected features of the type "Gene Expression" beside the peaks (a 10x '
                "multiome matrix, or an AnnData with the column feature_types in .var), or a MuData with the modality rna."
            )
        return self._read_genes()


def check_matrix(matrix: PeakMatrix) -> None:
    """Raise InputError if a matrix is empty, or names of its columns or cells or the intervals of its peaks repeat."""
    if not matrix.n_cells or not matrix.n_peaks:
        raise InputError(f"{matrix.where} is empty: it has {matrix.n_cells:,} cells and {matrix.n_peaks:,} peaks.")
    for name, table in ((".obs", matrix.cells), (".var", matrix.peaks)):
        if not table.columns.is_unique:
            raise InputError(f"{matrix.where}: {name} has two columns called {table.columns[table.columns.duplicated()][0]!r}.")
    repeated = matrix.cells.index[matrix.cells.index.duplicated()]
    if len(repeated):
        remedy = "call adata.obs_names_make_unique()"
        if "sample" in matrix.cells and not pd.MultiIndex.from_arrays([matrix.cells["sample"], matrix.cells.index]).has_duplicates:
            remedy = "put the sample before each barcode, adata.obs_names = adata.obs['sample'].astype(str) + '#' + adata.obs_names"
        raise InputError(
            f"{matrix.where}: {len(repeated):,} cells have the name of another cell, first {repeated[0]!r}. Cell names must be "
            f"distinct: {remedy}."
        )
    is_copy = matrix.peaks.duplicated(["chrom", "start", "end"]).to_numpy()
    if is_copy.any():
        interval = matrix.peaks[is_copy].iloc[0][["chrom", "start", "end"]]
        rows = matrix.peaks.index[(matrix.peaks[["chrom", "start", "end"]] == interval).all(axis=1)]
        name = peak_names(matrix.peaks[is_copy])[0]
        raise InputError(
            f"{matrix.where}: {is_copy.sum():,} duplicate peaks, first {name} in rows {rows[0]} and {rows[1]} "
            "(counting from 0). Remove the copies."
        )


def peak_rows(types: NDArray[Any] | None, n: int, where: str) -> NDArray[np.int64]:
    """Return the rows of the peaks.

    Parameters
    ----------
    types : array of str, or None
        Type of each feature. If there are several types, the rows of type "Peaks" are returned, else all.
    n : int
        Number of features.
    where : str
        Name of the file, for messages.

    Raises
    ------
    InputError
        There are several types, but not "Peaks"; or features have no type.
    """
    if types is None:
        return np.arange(n)
    missing = pd.isna(types)
    distinct = sorted(set(types[~missing].astype(str)))
    if len(distinct) + missing.any() < 2:
        return np.arange(n)
    if missing.any():
        raise InputError(
            f"{where}: {missing.sum():,} features have no type, first the one in row {missing.argmax():,} (counting from 0); "
            f"others have {', '.join(distinct)}. Fill the column feature_types, or drop it."
        )
    rows = np.flatnonzero(types.astype(str) == PEAKS)
    if not len(rows):
        raise InputError(f'{where} has no feature of type "Peaks"; it has {", ".join(distinct)}.')
    others = ", ".join(kind for kind in distinct if kind != PEAKS)
    say(f'{where}: {len(rows):,} of {n:,} features are of the type "Peaks"; those of the type {others} are left out.')
    return rows
