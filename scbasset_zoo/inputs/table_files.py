"""Read tables of cells from files: text with commas or tabs, Parquet, or the .obs of an .h5ad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.text_files import open_text

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_NAMES_OF_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_table_file(path: Path) -> pd.DataFrame:
    """Read a table of cells.

    Parameters
    ----------
    path : Path
        .csv, .tsv or .txt (tabs) with a header line, plain or .gz; .parquet; or .h5ad, whose `.obs` is read.

    Returns
    -------
    DataFrame
        An index with names is the first column. The first column of a text file, and a column "barcode", are texts.

    Raises
    ------
    InputError
        The file cannot be read, is empty, or is of another kind.
    """
    kind = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    with readable(str(path)):
        if kind in SEPARATORS:
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
    separator = SEPARATORS[kind]
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
    # R writes no name over the names of the rows, so they are the index, and the first name is that of a column of values.
    texts = list(of_barcodes) if isinstance(table.index, pd.RangeIndex) else ["barcode"]
    for name in table.columns.difference(texts):
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
