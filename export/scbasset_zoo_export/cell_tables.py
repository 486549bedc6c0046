"""Reads the tables that belong to the weights of a model: its cells, and their batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.table_files import read_table_file

_NUMBER_OF_TEXT = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "False": 0, "True": 1}


def read_cells(path: Path, n_cells: int) -> pd.DataFrame:
    """Read the cells of a model, in the order of its outputs.

    Parameters
    ----------
    path : Path
        .csv, .tsv or .txt (tabs) with a header line, plain or .gz; .parquet; or .h5ad, whose `.obs` is read. Barcodes are
        the column "barcode" if there is one, else the index, else the first column.
    n_cells : int
        Number of outputs of the model.

    Returns
    -------
    DataFrame
        A row for each cell, indexed by barcode.

    Raises
    ------
    InputError
        The file cannot be read, has another number of rows, or barcodes are missing or not unique.
    """
    table = read_table_file(path)
    column = "barcode" if "barcode" in table else table.columns[0]
    if len(table) != n_cells:
        hint = " The first line was read as the names of the columns. If it is a cell, add a line of names before it."
        hint = hint if len(table) == n_cells - 1 else ""
        raise InputError(f"{path} has {len(table):,} cells, the weights have {n_cells:,} outputs; they must be the same.{hint}")
    missing = np.flatnonzero(table[column].isna() | table[column].astype(str).str.strip().eq(""))
    if len(missing):
        raise InputError(f"{path}, cell {missing[0] + 1:,}: the barcode (column {column!r}) is missing.")
    cells = table.drop(columns=column).set_index(pd.Index(table[column].astype(str), name="barcode", dtype=object))
    if not cells.index.is_unique:
        raise InputError(f"{path}: the barcode {cells.index[cells.index.duplicated()][0]!r} appears more than once.")
    return cells


def read_batches(path: Path, barcodes: pd.Index, n_batches: int, *, named: bool) -> tuple[list[str], NDArray[np.float32]]:
    """Read which batches the cells of a model belong to.

    Parameters
    ----------
    path : Path
        In a format of :func:`read_cells`: a row for each cell, a column of 0 and 1 for each batch. If the first column has
        barcodes, rows are matched by them; otherwise rows are in the order of the model.
    barcodes : Index
        Barcodes of the cells of the model.
    n_batches : int
        Number of batches of the weights.
    named : bool
        Whether the cells have barcodes of their own; False if they are only numbered.

    Returns
    -------
    names : list of str
        Names of the batches.
    by_cell : float32 array of shape (n_batches, n_cells)
        1 where a cell belongs to a batch, else 0; cells in the order of the model.

    Raises
    ------
    InputError
        The file cannot be read, or its rows, columns or values do not fit the model.
    """
    table = read_table_file(path)
    first = table.iloc[:, 0].astype(str)
    position = barcodes.get_indexer(pd.Index(first))
    has_barcodes = bool((position >= 0).any())
    if has_barcodes:
        unknown, repeated = first[position < 0], first[first.duplicated()]
        if len(unknown):
            raise InputError(f"{path}: the model has no cell {unknown.iloc[0]!r}. Each row must be a cell of the model.")
        if len(repeated):
            raise InputError(f"{path}: the cell {repeated.iloc[0]!r} has more than one row.")
        table = table.iloc[np.argsort(position)]
    has_names = has_barcodes or not set(first) <= set(_NUMBER_OF_TEXT)
    if named and has_names and not has_barcodes and not _are_numbers(first):
        raise InputError(f"{path}: no row has the name of a cell of the model; found {first.iloc[0]!r}, expected {barcodes[0]!r}.")
    values = table.iloc[:, 1:] if has_names else table
    for unit, n, expected in (("rows", len(values), len(barcodes)), ("columns of batches", values.shape[1], n_batches)):
        if n != expected:
            raise InputError(f"{path} has {n:,} {unit}; the weights have {expected:,}.")
    numbers = values.astype(str).apply(lambda column: column.map(_NUMBER_OF_TEXT)).to_numpy(dtype=np.float32)
    wrong = np.argwhere(np.isnan(numbers))
    if len(wrong):
        row, column = wrong[0]
        value = values.iloc[row, column]
        found = "no value" if pd.isna(value) else repr(str(value))
        raise InputError(f"{path}, cell {barcodes[row]!r}, column {values.columns[column]!r}: expected 0 or 1, found {found}.")
    return [str(name) for name in values.columns], np.ascontiguousarray(numbers.T)


def _are_numbers(names: pd.Series) -> bool:
    """Return whether rows are only numbered, from 0 or from 1."""
    return names.tolist() in [[str(number + first) for number in range(len(names))] for first in (0, 1)]
