"""Join the columns of a table to the cells of a matrix, by barcode."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import checked_path
from scbasset_zoo.inputs.joined_tables import rows_of
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.inputs.table_files import SEPARATORS, read_table_file
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option

SAMPLE = "sample"
# Names of columns with barcodes, in any letter case.
BARCODE_TITLES = (
    "barcode", "barcodes", "cell", "cells", "cell_id", "cellid", "cell_barcode", "cell_name", "cellname", "cellnames", "cb", "index"
)  # fmt: skip


def join_cells_table(matrix: PeakMatrix, table: str | os.PathLike[str] | pd.DataFrame) -> PeakMatrix:
    """Return a matrix whose cells have the columns of a table. A line says how many cells and rows match.

    Parameters
    ----------
    matrix : PeakMatrix
    table : DataFrame, or path of a .csv, .tsv, .txt (plain or .gz), .parquet or .h5ad
        A row for each cell. Barcodes are in the index, the first column, or a column called barcode, cell, cell_id, index or the
        like: the one that has most cells of the matrix. Where cells are named sample#barcode, the table may have the barcode
        alone, if it has a column "sample" or if no two samples share a barcode. A column that the matrix has, too, is replaced.

    Raises
    ------
    InputError
        The table cannot be read, a row has no barcode, a barcode repeats, or no row is a cell of the matrix.
    """
    where, first_line = "the table of cells", None
    if isinstance(table, pd.DataFrame):
        if not len(table):
            raise InputError(f"{where} is empty; expected a row for each cell.")
        table = _with_index_as_column(table)
    elif isinstance(table, str | os.PathLike):
        path = checked_path(table)
        where = str(path)
        if not path.exists():
            raise InputError(f"{option('cells_table')}: there is no {path}.")
        table = read_table_file(path)
        is_text = Path(where.lower().removesuffix(".gz")).suffix in SEPARATORS
        first_line = 2 if is_text else None
    else:
        raise InputError(f"{option('cells_table')} must be a path or a DataFrame; found {type(table).__name__}.")
    position, barcodes, names = _matching(matrix, table)
    _check_barcodes(barcodes, table.columns[position], where, first_line)
    row_of_cell = pd.Index(barcodes).get_indexer(names)
    found = row_of_cell >= 0
    if not found.any():
        raise _no_cell(matrix, barcodes, table.columns[position], where)
    say(
        f"{where}: {found.sum():,} of the {matrix.n_cells:,} cells of {matrix.where} are in it; "
        f"{len(table) - found.sum():,} of its {len(table):,} rows are no cell of the matrix."
    )
    columns = table.drop(columns=table.columns[position]) if table.columns.is_unique else None
    if columns is None:
        raise InputError(f"{where} has two columns called {table.columns[table.columns.duplicated()][0]!r}. Rename one of them.")
    cells = matrix.cells
    # The samples are those that the user named.
    own = [name for name in columns if name in cells and not (name == SAMPLE and matrix.parts)]
    columns = columns.drop(columns=[name for name in columns if name in cells and name not in own])
    if own:
        lost = "" if found.all() else f" The {int((~found).sum()):,} cells that it lacks have no value there."
        say(f"{where} replaces the columns {', '.join(map(str, own))} of {matrix.where}, .obs.{lost}")
    joined = pd.concat([cells.drop(columns=own), rows_of(columns, row_of_cell, cells.index)], axis=1)
    return dataclasses.replace(matrix, cells=joined)


def _with_index_as_column(table: pd.DataFrame) -> pd.DataFrame:
    if isinstance(table.index, pd.MultiIndex):
        raise InputError(f"{option('cells_table')}: the index of the table has {table.index.nlevels} levels; expected barcodes.")
    if isinstance(table.index, pd.RangeIndex) and len(table.columns):
        return table.reset_index(drop=True)
    name = table.index.name if table.index.name is not None and table.index.name not in table else "barcode"
    while name in table:
        name = f"{name}_"
    index = pd.DataFrame({name: table.index})
    return pd.concat([index, table.reset_index(drop=True)], axis=1)


def _matching(matrix: PeakMatrix, table: pd.DataFrame) -> tuple[int, NDArray[np.object_], pd.Index]:
    """Return the column of barcodes that has most cells of the matrix, its barcodes, and the names of the cells to look up."""
    has_name = [str(name).strip().lower() in BARCODE_TITLES for name in table.columns]
    candidates = [position for position in range(table.shape[1]) if has_name[position]]
    candidates += [0] if 0 not in candidates else []
    names = [matrix.cells.index]
    if matrix.parts:
        plain = matrix.cells.index.str.split("#", n=1).str[1]
        names += [] if plain.has_duplicates else [plain]
    sample = next((position for position, name in enumerate(table.columns) if str(name).strip().lower() == SAMPLE), None)
    choices = []
    for position in candidates:
        values = table.iloc[:, position]
        barcodes = np.where(values.isna(), "", values.astype(object).astype(str).str.strip()).astype(object)
        choices += [(position, barcodes, cells) for cells in names]
        if sample is not None and sample != position:
            samples = table.iloc[:, sample].astype(object).astype(str).str.strip().to_numpy(dtype=object)
            choices.append((position, np.where(barcodes == "", "", samples + "#" + barcodes), names[0]))
    # The first of those with most matches.
    return max(choices, key=lambda choice: int(choice[2].isin(choice[1]).sum()))


def _check_barcodes(barcodes: NDArray[np.object_], column: str, where: str, first_line: int | None) -> None:
    """Raise InputError for a row without barcode, or two with the same; lines are counted from 1, rows from 0."""

    def place(row: int) -> str:
        return f"row {row:,} (counting from 0)" if first_line is None else f"line {row + first_line:,}"

    missing = np.flatnonzero(barcodes == "")
    if len(missing):
        raise InputError(f"{where}, {place(int(missing[0]))}: the barcode (column {column!r}) is missing. Fill or remove the row.")
    index = pd.Index(barcodes)
    repeated = index.duplicated()
    if repeated.any():
        second = int(np.flatnonzero(repeated)[0])
        first = int(np.flatnonzero(barcodes == barcodes[second])[0])
        raise InputError(
            f"{where}: {repeated.sum():,} barcodes are there more than once, first {barcodes[second]!r} (column {column!r}) in "
            f"{place(first)} and {place(second)}. Keep one row for each cell; cells of several samples are named sample#barcode."
        )


def _no_cell(matrix: PeakMatrix, barcodes: NDArray[np.object_], column: str, where: str) -> InputError:
    cells = matrix.cells.index

    def examples(names: pd.Index | NDArray[np.object_]) -> str:
        return ", ".join(map(repr, names[:3]))

    hint = ""
    for change, what in (
        (lambda name: re.sub(r"-\d+$", "", name), "They differ in the suffix, such as -1."),
        (lambda name: re.sub(r"^.*[#_:]", "", name), "They differ in what is before the barcode, such as the name of a sample."),
        (
            lambda name: re.sub(r"^.*[#_:]|-\d+$", "", name),
            "They differ in the suffix, such as -1, and in what is before the barcode.",
        ),
        (str.upper, "They differ in the case of letters."),
    ):
        if not {change(name) for name in cells}.isdisjoint(change(name) for name in barcodes):
            hint = f" {what} Rename those of the table."
            break
    return InputError(
        f"{where}: none of its {len(barcodes):,} rows is a cell of {matrix.where}. Its barcodes (column {column!r}) are like "
        f"{examples(barcodes)}; the cells are like {examples(cells)}.{hint}"
    )
