"""Reads the cells of a package from cells.parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def read_cells(folder: Path) -> pd.DataFrame:
    """Read cells.parquet of a package, indexed by barcode."""
    return cells_from_bytes((folder / "cells.parquet").read_bytes(), folder / "cells.parquet")


def cells_from_bytes(raw: bytes, path: Path) -> pd.DataFrame:
    """Read the table of cells from the bytes of the file at `path`, indexed by barcode.

    Raises
    ------
    PackageError
        The bytes are not a table of a package, or it has no column `barcode`.
    """
    table = read_table(raw, path)
    if "barcode" not in table:
        raise PackageError(f"{path} has no column 'barcode'.")
    return table.set_index("barcode")
