"""Tables that come beside a model's weights: its cells, and which batches they are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_NAMES_OF_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_IS_OF_BATCH = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "False": 0, "True": 1}


def read_cells(path: Path, n_cells: int) -> pd.DataFrame:
    """The cells in the order of a model's outputs, indexed by barcode.

    Parameters
    ----------
    path : Path
        .csv, .tsv or .txt (tabs), plain or .gz and with a header line; .parquet; or .h5ad, whose `.obs` is read. Barcodes are
        the column "barcode", else the index, else the first column.
    n_cells : int
        How many there must be.

    Raises
    ------
    InputError
        It cannot be read, has another number of rows, or barcodes are missing or not unique.
    """
    table = _read(path)
    column = "barcode" if "barcode" in table else table.columns[0]
    if len(table) != n_cells:
        hint = " Its first line was taken for the names of the columns; if it is a cell, add such a line before it."
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
    """Names of the batches, and 1 where a cell is of a batch, (n_batches, n_cells), in the order of the model's cells.

    Parameters
    ----------
    path : Path
        In a format of :func:`read_cells`: a row for each cell, a column of 0 and 1 for each batch. Rows are matched by a
        first column of barcodes; without one they are in the model's order.
    barcodes : Index
        Of the model's cells.
    n_batches : int
        How many batches the weights have.
    named : bool
        The barcodes are the cells' own; False when the cells are only numbered.

    Raises
    ------
    InputError
        It cannot be read, or its rows, columns or values are not those.
    """
    table = _read(path)
    first = table.iloc[:, 0].astype(str)
    known = barcodes.get_indexer(pd.Index(first))
    if (known >= 0).any():
        unknown = first[known < 0]
        if len(unknown) or first.duplicated().any():
            cell, problem = (unknown.iloc[0], "is not") if len(unknown) else (first[first.duplicated()].iloc[0], "is twice")
            raise InputError(f"{path}: the cell {cell!r} {problem} among the model's cells, each of which must be there once.")
        table = table.iloc[np.argsort(known)]
    has_names = bool((known >= 0).any()) or not set(first) <= set(_IS_OF_BATCH)
    if named and has_names and (known < 0).all() and not _are_numbers(first):
        raise InputError(f"{path}: no row is named as a cell of the model; found {first.iloc[0]!r}, expected {barcodes[0]!r}.")
    values = table.iloc[:, 1:] if has_names else table
    for what, found, expected in (("rows", len(values), len(barcodes)), ("columns of batches", values.shape[1], n_batches)):
        if found != expected:
            raise InputError(f"{path} has {found:,} {what}; the weights have {expected:,}.")
    numbers = values.astype(str).apply(lambda column: column.map(_IS_OF_BATCH)).to_numpy(dtype=np.float32)
    wrong = np.argwhere(np.isnan(numbers))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"{path}, cell {barcodes[row]!r}, column {values.columns[column]!r}: expected 0 or 1, found "
            f"{str(values.iloc[row, column])!r}."
        )
    return [str(name) for name in values.columns], np.ascontiguousarray(numbers.T)


def _read(path: Path) -> pd.DataFrame:
    """The table with its index, where that has a meaning, as the first column; the first column of a text file is text."""
    kind = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    with readable(str(path)):
        if kind in _SEPARATORS:
            table = _read_text(path, kind)
        elif kind == ".parquet":
            table = pd.read_parquet(path)
        elif kind == ".h5ad":
            import anndata as ad
            import h5py

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
    separator = _SEPARATORS[kind]
    names = pd.read_csv(path, sep=separator, nrows=0).columns
    other = [name for sign, name in _NAMES_OF_SEPARATORS.items() if len(names) == 1 and sign in names[0]]
    if other:
        raise InputError(
            f"{path}: a {kind} file has {_NAMES_OF_SEPARATORS[separator]} between its columns; found {other[0]} in the first line, "
            f"{names[0][:80]!r}. Save it with {_NAMES_OF_SEPARATORS[separator]}."
        )
    # Blank lines are read, since one among barcodes is a cell without a barcode.
    table = pd.read_csv(path, sep=separator, dtype={names[0]: str, "barcode": str}, skip_blank_lines=False)
    if not isinstance(table.index, pd.RangeIndex) and ("barcode" in table or table.iloc[:, -1].isna().all()):
        raise InputError(f"{path}: its rows have more values than its first line has names. Add what is missing.")
    filled = table.notna().any(axis=1).to_numpy()
    table = table[: len(table) - int(np.argmax(filled[::-1]))] if filled.any() else table[:0]
    blank = np.flatnonzero(~filled[: len(table)])
    if len(blank):
        raise InputError(f"{path}, row {blank[0] + 1:,} after the first line: it has no value; expected a cell. Fill or remove it.")
    return table


def _are_numbers(names: pd.Series) -> bool:
    return names.tolist() in [[str(number + first) for number in range(len(names))] for first in (0, 1)]
