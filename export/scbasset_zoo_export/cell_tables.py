"""Reads the tables that belong to the weights of a model: its cells, and their batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.text_files import open_text

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_NAMES_OF_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
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
    table = _read(path)
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
    table = _read(path)
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


def _read(path: Path) -> pd.DataFrame:
    """Read a table. An index with names becomes the first column; the first column of a text file is read as text."""
    kind = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    with readable(str(path)):
        if kind in _SEPARATORS:
            table = _read_text(path, kind)
        elif kind == ".parquet":
            import pyarrow.parquet as pq

            # pandas.read_parquet starts threads that can abort the process at its end.
            table = pq.read_table(path).to_pandas()
        elif kind == ".h5ad":
            import anndata as ad
            import h5py

            from scbasset_zoo.inputs.outside_links import check_no_outside_links

            check_no_outside_links(path)
            with h5py.File(path, "r") as file:
                table = ad.io.read_elem(file["obs"])
        else:
            raise InputError(f"{path} must be a .csv, .tsv, .txt, .parquet or .h5ad file.")
        if not isinstance(table.index, pd.RangeIndex):
            named = table.index.name is not None and table.index.name not in table
            name = str(table.index.name) if named else "barcode"
            table = table.rename_axis(index=name).reset_index(drop=name in table)
        if not len(table) or not len(table.columns):
            raise InputError(f"{path} is empty; expected a header line and a row for each cell.")
    return table


def _read_text(path: Path, kind: str) -> pd.DataFrame:
    """Read a table of texts and numbers. Missing values are empty, or NA as R writes them; "nan" among texts is a text."""
    separator = _SEPARATORS[kind]
    with open_text(path) as file:
        names = pd.read_csv(file, sep=separator, nrows=0).columns
    others = [name for sign, name in _NAMES_OF_SEPARATORS.items() if len(names) == 1 and sign in names[0]]
    if others:
        raise InputError(
            f"{path}: a {kind} file has {_NAMES_OF_SEPARATORS[separator]} between its columns; found {others[0]} in the first "
            f"line, {names[0][:80]!r}. Save it with {_NAMES_OF_SEPARATORS[separator]}."
        )
    # Blank lines are read too, because a blank line between two cells is a cell without a barcode.
    of_barcodes = {names[0]: str, "barcode": str}
    with open_text(path) as file:
        table = pd.read_csv(
            file,
            sep=separator,
            dtype=of_barcodes,
            dtype_backend="numpy_nullable",
            skip_blank_lines=False,
            keep_default_na=False,
            na_values=["", "NA"],
        )
    for name in table.columns.difference(list(of_barcodes)):
        table[name] = _numbers(table[name])
    if not isinstance(table.index, pd.RangeIndex) and ("barcode" in table or table.iloc[:, -1].isna().all()):
        raise InputError(f"{path}: its rows have more values than its first line has names. Add the missing names.")
    has_values = table.notna().any(axis=1).to_numpy()
    n_rows = int(np.flatnonzero(has_values)[-1]) + 1 if has_values.any() else 0
    blank = np.flatnonzero(~has_values[:n_rows])
    if len(blank):
        raise InputError(f"{path}, row {blank[0] + 1:,} after the first line: it has no value; expected a cell. Fill or remove it.")
    return table[:n_rows]


def _numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers if its texts are numbers and "NaN" or "nan"; otherwise as it is."""
    if not pd.api.types.is_string_dtype(column):
        return column
    numbers = pd.to_numeric(column.mask(column.isin(["NaN", "nan"])), errors="coerce")
    is_number = numbers.notna() | column.isna() | column.isin(["NaN", "nan"])
    return numbers if is_number.all() and numbers.notna().any() else column


def _are_numbers(names: pd.Series) -> bool:
    """Return whether rows are only numbered, from 0 or from 1."""
    return names.tolist() in [[str(number + first) for number in range(len(names))] for first in (0, 1)]
