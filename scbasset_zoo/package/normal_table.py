"""Brings the tables of cells and peaks into a normal form, which a package, .h5ad and .zarr can hold.

In normal form, the names of the columns are distinct texts. A column holds texts, whole numbers, real numbers or booleans, of which
some may be missing. A table that cannot be brought into this form is refused before any work.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.column_names import distinct_names
from scbasset_zoo.inputs.normal_columns import check_texts, normal_column, short
from scbasset_zoo.package.card_fields import INVISIBLE, PLACEHOLDER
from scbasset_zoo.package.tables import MAX_COLUMNS
from scbasset_zoo.progress import say

# A name is also the name of a folder in .zarr, which has at most 255 bytes.
MAX_NAME_BYTES = 200


def normal_table(table: pd.DataFrame, where: str, *, taken: Collection[str] = (), prefix: str = "column_") -> pd.DataFrame:
    """Return a table in normal form, with the same rows, index and order of columns. A line says which names change.

    Parameters
    ----------
    table : DataFrame
    where : str
        Name of the table in messages, such as ".obs of matrix.h5ad".
    taken : collection of str
        Names that other columns will have.
    prefix : str
        It is put before a name that is taken, or that another column has.

    Raises
    ------
    InputError
        There are too many columns, or :func:`scbasset_zoo.inputs.normal_columns.normal_column` refuses one.
    """
    if len(table.columns) + len(taken) > MAX_COLUMNS:
        raise InputError(
            f"{where} has {len(table.columns):,} columns; a package holds at most {MAX_COLUMNS - len(taken):,}. Drop columns that "
            "are not needed."
        )
    names = distinct_names(table.columns, taken, prefix, column_name)
    for old, new in zip(table.columns, names, strict=True):
        if new != str(old):
            say(f"{where}: the column {short(old)} is called {short(new)} from here on.")
    columns = [normal_column(values.rename(name), where) for name, (_, values) in zip(names, table.items(), strict=True)]
    return pd.concat(columns, axis=1) if columns else table.set_axis([], axis=1)


def normal_cells(cells: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the annotation of cells in normal form, indexed by barcode, without a column `barcode` that repeats the index.

    Raises
    ------
    InputError
        Barcodes are missing or repeated, or a column cannot be brought into normal form.
    """
    check_barcodes(cells.index, where)
    if "barcode" in cells and (cells["barcode"].astype(str) != cells.index.astype(str)).any():
        raise InputError(f"{where}: the column 'barcode' differs from the index, which holds the barcodes; rename the column.")
    return normal_table(cells.drop(columns="barcode", errors="ignore"), where, taken=["barcode"])


def column_name(name: Any) -> str:
    """Return the name of a column as a text that a card can hold: no control characters, no placeholder, at most 200 bytes."""
    text = INVISIBLE.sub("_", "_".join(map(str, name)) if isinstance(name, tuple) else str(name))
    text = text.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    if PLACEHOLDER.fullmatch(text.strip()):
        return f"{text}_"
    return PLACEHOLDER.sub(lambda match: f"{match.group()}_", text)


def check_barcodes(index: pd.Index, where: str) -> None:
    """Raise InputError unless barcodes are distinct texts of one line."""
    if isinstance(index, pd.MultiIndex):
        raise InputError(f"{where}: the cells have names of {index.nlevels} levels; expected one barcode for each cell.")
    barcodes = index.astype(str)
    for is_wrong, problem in (
        (index.isna() | (barcodes == ""), "has no barcode"),
        (barcodes.str.contains("\n", regex=False), "has a barcode with a line break"),
    ):
        if is_wrong.any():
            row = int(np.flatnonzero(is_wrong)[0])
            raise InputError(f"{where}: the cell in row {row:,} (counting from 0, {index[row]!r}) {problem}. Rename it.")
    if barcodes.has_duplicates:
        raise InputError(
            f"{where}: the barcode {barcodes[barcodes.duplicated()][0]!r} appears more than once; barcodes must be unique."
        )
    check_texts(barcodes, f"{where}: the barcodes of the cells")
