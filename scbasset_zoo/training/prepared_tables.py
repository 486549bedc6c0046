"""The tables of cells and peaks of a prepared peak set. They are in the form in which a package holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.package.cells_table import cells_from_bytes
from scbasset_zoo.package.normal_table import check_barcodes, normal_table
from scbasset_zoo.package.tables import read_table, write_table
from scbasset_zoo.training.prepared_files import PREPARE_AGAIN

COUNTS_OF_CELLS = ("n_open_peaks",)
INTERVALS = ("name", "chrom", "start", "end")
OF_PEAKS = ("window_start", "n_fraction", "n_open_cells", "split")


def normal_cells(source: PeakMatrix) -> pd.DataFrame:
    """Return all cells of a matrix, indexed by barcode, in normal form.

    Raises
    ------
    InputError
        A barcode or a column cannot be kept in a package.
    """
    where = f"{source.where}, .obs"
    check_barcodes(source.cells.index, where)
    return normal_table(source.cells.rename_axis("barcode"), where, taken={"barcode", *COUNTS_OF_CELLS}, prefix="obs_")


def normal_peaks(source: PeakMatrix, split_column: str | None) -> pd.DataFrame:
    """Return all peaks of a matrix, name and interval first, in normal form.

    Raises
    ------
    InputError
        A column cannot be kept in a package.
    """
    own, others = source.peaks[list(INTERVALS)], source.peaks.drop(columns=list(INTERVALS))
    # A column "split" that gave the split is not stored twice.
    if split_column == "split":
        others = others.drop(columns="split")
    where = f"{source.where}, .var"
    normal = normal_table(others, where, taken={*INTERVALS, *OF_PEAKS}, prefix="var_")
    return pd.concat([normal_table(own, where), normal], axis=1)


def write_cells(path: Path, cells: pd.DataFrame, **columns: NDArray[Any]) -> None:
    """Write the kept cells of :func:`normal_cells`, with further columns at the end."""
    write_table(cells.assign(**columns).reset_index(), path)


def write_peaks(path: Path, peaks: pd.DataFrame, **columns: NDArray[Any]) -> None:
    """Write the kept peaks of :func:`normal_peaks`, with further columns after name and interval."""
    others = peaks.drop(columns=list(INTERVALS))
    write_table(pd.concat([peaks[list(INTERVALS)].assign(**columns), others], axis=1), path)


def read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the cells, indexed by barcode, and the peaks, as from a package.

    Raises
    ------
    InputError
        A file is no table of a prepared peak set.
    """
    cells, peaks = folder / "cells.parquet", folder / "peaks.parquet"
    try:
        return cells_from_bytes(cells.read_bytes(), cells), read_table(peaks.read_bytes(), peaks)
    except PackageError as error:
        raise InputError(f"{error} {PREPARE_AGAIN}") from error
